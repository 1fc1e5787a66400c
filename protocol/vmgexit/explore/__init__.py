"""Every interleaving of small systems, and the diagrams that are drawn from them."""
