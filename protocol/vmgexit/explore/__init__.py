"""Exploring every interleaving of small systems."""
