"""Invariant: as `codec`, for the calling area, SVSM calls, and the memory they point to."""

from .codec import Codec

every = Codec("svsm", "core", "apic", "attestation", "vtpm", "uefi_mm")
chosen, run, show, read = every.chosen, every.run, every.show, every.read
mutate, crossover = every.mutate, every.crossover
