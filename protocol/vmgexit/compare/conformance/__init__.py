"""What an adapter must do: rules with an exchange each, from which page and check are made.

`rules`, `memory_rules` and `host_rules` are the tables. `page` writes them into
specs/peer-protocol.md, `check` holds a peer against them, and the tests hold our own machines against them.
"""
