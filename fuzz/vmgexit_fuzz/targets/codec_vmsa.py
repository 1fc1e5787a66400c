"""Invariant: as `codec`, for what the processor reads: the VMSA, operands of RMPADJUST and PVALIDATE."""

from .codec import Codec

every = Codec("vmsa", "rmp")
chosen, run, show, read = every.chosen, every.run, every.show, every.read
mutate, crossover = every.mutate, every.crossover
