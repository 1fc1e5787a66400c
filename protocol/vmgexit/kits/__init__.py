"""Kits for adapters: projects in C, Rust and Python around a small SVSM that is meant to be replaced.

What a kit knows of structures and commands is generated: structures by the formats of `layout`, commands
from their descriptions. What surrounds an SVSM, its host and its guest, stands in the folders `c`, `rust`
and `python`, as the sources that a project gets; what reads lines and writes answers there, the kits of an
SVSM with memory (`c_memory` and so on) and of a GHCB host (`c_host`) use too. `project.KITS` says which.
"""
