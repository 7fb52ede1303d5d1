"""A stand-in for Supabase Realtime: private and public channels, broadcast from the database.

It speaks protocol 1.0.0 and 2.0.0 to the official clients, asks the policies on
`realtime.messages` who may join, pushes what `realtime.send` has committed, and refuses, expires
and closes with the messages of supabase/realtime. Not in it: presence, Postgres Changes, replay,
broadcast over HTTP. Unlike hosted a channel hears messages from the reply to its join on.

`local.api` runs one server per database; tests steer it with `local.realtime.control`.
"""
