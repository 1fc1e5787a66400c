"""The fuzzing process: what a child does, how its parent watches it, and what coverage is."""
