"""Comparing answers: of recordings, of another implementation, and of the machine."""
