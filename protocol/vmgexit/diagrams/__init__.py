"""Drawings: states that the explorer visited, and sequence charts of scenarios."""
