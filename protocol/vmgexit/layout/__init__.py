"""Layouts of structures as tables and drawings: one file per output format, each a function.

`table` says what a layout says, before any format; `text`, `markdown` and `svg` have a `render` each;
`pages` has the table of formats and writes files of all structures.
"""
