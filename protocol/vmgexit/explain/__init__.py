"""Anything pasted, explained: lines of logs, names, numbers, dumps.

| pasted | read by | with the tables in |
| --- | --- | --- |
| any input | `inputs`: text or bytes, which kind | |
| a line of a log | `lines` | `forms`: what programs print; `meanings`: what holes hold, read by `readers` |
| a word in another line | `loose_words` | its names, and `meanings` |
| a name or a number | `questions` | `subjects`: all that has a page; `manual`: the page; `project_names` |
| a number | `number_readings`: all that it can mean | `subjects` |
| bytes, and dumps in a log | `guess`, `dumps` | the declarations in `wire`, `images.page_rules` |

`render` shows what was found, as text and as JSON.
"""
