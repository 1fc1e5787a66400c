"""One reader for each file format: `blocks(data)` gives the headings, paragraphs and tables in it."""
