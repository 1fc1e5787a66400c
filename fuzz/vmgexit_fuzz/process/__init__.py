"""The fuzzing process: what it does, how its parent watches it, and which kinds of worker exist."""
