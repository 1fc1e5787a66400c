"""Layouts of structures as tables and drawings: one file per output format, each a function.

`table` has the content of a layout, before any format. `text`, `markdown` and `svg` have a `render`
each. `pages` has the table of formats, and writes the files of all structures.
"""
