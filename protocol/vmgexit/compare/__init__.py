"""Answers beside answers: recordings, another implementation, and the machine."""
