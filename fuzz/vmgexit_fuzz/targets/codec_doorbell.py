"""Invariant: as `codec`, for the #HV doorbell page, in every revision."""

from .codec import Codec

every = Codec("doorbell", "doorbell_history")
chosen, run, show, read = every.chosen, every.run, every.show, every.read
mutate, crossover = every.mutate, every.crossover
