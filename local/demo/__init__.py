"""`make demo`: the whole chain on this machine, and what it has done, counted in the database."""
