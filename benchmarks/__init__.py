"""`make bench`: figures of this machine, beside limits and what the same run allows without us."""
