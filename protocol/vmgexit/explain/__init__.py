"""Anything pasted, explained: lines of logs, names, numbers, dumps. One room, four questions.

`forms` has the lines that programs print, `meanings` what their holes hold, `lines` reads a log by them;
`subjects` and `manual` answer names and numbers; `guess` says what bytes look like.
"""
