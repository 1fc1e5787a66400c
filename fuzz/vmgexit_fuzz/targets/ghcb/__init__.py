"""What a GHCB page asks for, and whether a host that carries it out keeps to the page."""
