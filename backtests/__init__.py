"""Engines that run a strategy over history, and what is made of their results."""
