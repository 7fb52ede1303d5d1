"""The outside world in miniature: Supabase without Docker, and the APIs that Chunkwise reads."""
