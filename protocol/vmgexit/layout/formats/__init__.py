"""The formats, one file each. `layout.pages.FORMATS` is the table of them.

A file of a format has one function, `render`. What it takes is said by the format's row: documents,
which are tables of text, or the declarations themselves.
"""
