"""Exploring every interleaving of small systems, and drawing diagrams of what was visited."""
