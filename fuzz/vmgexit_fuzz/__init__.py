"""Fuzzing of vmgexit's reference SVSM, of its codec, and of other implementations.

`targets` says what must hold. `inputs` makes and changes inputs. `probes` measures coverage.
`process` is one fuzzing process, and `campaign` runs many of them over an ordinary folder. `report`
makes a page of a campaign.
"""
