"""Bytes from where people have them: files and streams of any size, and hex dumps."""
