// Subscribes to a channel with supabase-js and prints, a JSON line each, what it is told.
// Arguments: URL, key, topic, and the token of a user or nothing.
const { createClient } = require('@supabase/supabase-js')
const WebSocket = require('ws')

const [url, key, topic, token] = process.argv.slice(2)
const client = createClient(url, key, {
  auth: { persistSession: false, autoRefreshToken: false },
  ...(token && { accessToken: async () => token }),
  realtime: { transport: WebSocket },
})
const tell = (what) => console.log(JSON.stringify(what))

client
  .channel(topic, { config: { private: true, broadcast: { ack: true, self: true } } })
  .on('broadcast', { event: '*' }, ({ event, payload }) => tell({ event, payload }))
  .subscribe((state, error) => tell({ state, error: error ? String(error.message) : '' }))
