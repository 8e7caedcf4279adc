"""Adapters that a trader sends its orders through."""
