"""A GHCB host: what it answers to a VMGEXIT, asks of user space and writes, by named profiles."""
