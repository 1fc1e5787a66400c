"""How good campaigns are: how soon each method finds each planted bug, all methods in one run.

`cases` says what is to be found, `methods` what searches, `child` is the process of one search,
`run` lets them take turns, `score` and `report` say what came of it. Every search starts from an
empty corpus without seeds, and its time counts from its first input.
"""

from .run import add_arguments, main, run

__all__ = ["add_arguments", "main", "run"]
