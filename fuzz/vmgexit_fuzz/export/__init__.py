"""Exports for other people's tests: scenarios, exits and structures, as `cases`, in each of `formats`."""
