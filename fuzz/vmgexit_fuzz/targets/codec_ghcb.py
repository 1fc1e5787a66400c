"""Invariant: as `codec`, for the GHCB page, its exits, and the words of its MSR."""

from .codec import Codec

every = Codec(
    "ghcb",
    "ghcb_msr",
    "exit_codes",
    "page_state",
    "ap_creation",
    "injection",
    "features",
    "termination",
)
chosen, run, show, read = every.chosen, every.run, every.show, every.read
mutate, crossover = every.mutate, every.crossover
