"""A stand-in for Supabase Realtime: private and public channels, broadcast from the database.

It speaks protocol 1.0.0 and 2.0.0 to the official clients, asks the policies on
`realtime.messages` who may join, pushes what `realtime.send` has committed, and refuses, expires
and closes with the messages of supabase/realtime. A join is answered before messages of the
database flow; a channel that asked for word of them is shut if they do not come to flow. Not in it:
presence, Postgres Changes, replay, broadcast over HTTP.

`local.api` runs one server per database; tests steer it with `local.realtime.control`.
"""
