"""Campaigns: the folder, the findings and statistics in it, and the loop that employs processes."""
