"""Our clauses: what `specs/` says, the figures in it, and where code and tests cite it.

`text` reads the clauses, `figures` compares the marked figures with the declarations, `citations`
finds who cites which clause, `judged` puts the three together.
"""
