"""Guests as they are: which calls a published guest makes, with which values, and when it ends itself."""
