"""All that is said to Supabase: one method is one SQL function or one table."""
