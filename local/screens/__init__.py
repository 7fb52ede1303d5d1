"""`make screenshots`: the dashboard on a live stack, in each state that it can show."""
