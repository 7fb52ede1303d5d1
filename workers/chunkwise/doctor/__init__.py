"""Looks for what keeps a project from working, by direct SQL and over the API."""
