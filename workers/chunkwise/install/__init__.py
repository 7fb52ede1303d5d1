"""Chunkwise's SQL in somebody's Supabase project: how it gets there, and on to the next release."""
