"""Kits for adapters: projects in C, Rust and Python around a small SVSM that is meant to be replaced.

What a kit knows of structures and commands is generated: structures by the formats of `layout`, commands
from their descriptions. What surrounds an SVSM, its host and its guest, stands in the folders `c`, `rust`
and `python`, as the sources that a project gets.
"""
