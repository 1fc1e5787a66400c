"""The decoder page: one HTML file that reads dumps and shows structures in a browser, without a server.

`described` makes the declarations plain data, `assembled` puts them into one file with the style
and the scripts. The scripts are ordinary files, each of which says what it has: `text` to `dump`
read what was pasted, as `vmgexit.read` does; `decode` and `judge` know structures by the data
alone; `guess` finds the likeliest structure; `answer` puts these together; `view` and `app` are
what a person sees. The tests hold every answer of the page against the library's.
"""
