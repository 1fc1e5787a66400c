"""What each part of the system does: one file for each part, tables of steps where there are steps."""
