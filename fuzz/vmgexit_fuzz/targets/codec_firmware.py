"""Invariant: as `codec`, for what the guest gets from the firmware: messages, reports, secrets."""

from .codec import Codec

every = Codec("guest_message", "secrets")
chosen, run, show, read = every.chosen, every.run, every.show, every.read
mutate, crossover = every.mutate, every.crossover
