"""The exact accounting core: integers only, standard library only, no clock, no randomness, no I/O."""
