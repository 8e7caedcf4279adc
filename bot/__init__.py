"""fairhash: values and trades hash-power contracts."""

__version__ = "0.1.0"
