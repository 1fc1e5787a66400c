"""What each part of the system does: one file for each part, with tables of its steps."""
