"""Market history: load it strictly, check it, make longer bars of it, and simulate it where none survives."""
