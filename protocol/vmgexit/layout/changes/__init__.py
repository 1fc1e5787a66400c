"""What one draft changed of another: structures, calls and protocols, as tables and as pictures.

`compared` pairs the parts of two layouts. `table` and `picture` show the pairs. `history` has every
step from the earliest revision of a structure to the current one.
"""
