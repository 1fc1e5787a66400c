"""The declarations and nothing else: one file per structure or chapter, tables first.

`registry` finds a structure by its name. The names that users need are in `vmgexit` too.
"""
