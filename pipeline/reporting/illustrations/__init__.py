"""The papers' figures, made from our own runs: a file for each family of them."""
