"""Small systems with memory: what guests and host may do there, and the search over their states."""
