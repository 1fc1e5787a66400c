"""Decoded values as people read them."""
