"""Making and changing inputs with what the declarations know: one file for each kind of input."""
