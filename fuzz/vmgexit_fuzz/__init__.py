"""Fuzzing of vmgexit's reference SVSM, of its codec, and of other implementations.

`targets` says what must hold, `mutate` how inputs are changed, `probes` how coverage is measured,
`campaign` runs it all as ordinary processes over an ordinary directory.
"""
