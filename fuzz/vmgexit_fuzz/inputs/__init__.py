"""Changing inputs with what the declarations know: one file for each kind of input."""
