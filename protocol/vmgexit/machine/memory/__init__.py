"""Guest-physical memory: system pages, the RMP, and the instructions that work on both."""
