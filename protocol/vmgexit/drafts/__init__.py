"""Drafts of others beside the declarations: where their tables and their text say something else.

`document` is a draft as headings, paragraphs and tables; `forms` has a reader for each file format.
`known` finds the declaration that a name or a phrase means. `tables`, `calls` and `prose` compare;
`checked` walks the draft and collects what they report.
"""
