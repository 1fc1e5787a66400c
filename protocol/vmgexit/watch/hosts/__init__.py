"""What must hold of a GHCB host."""
