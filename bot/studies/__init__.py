"""Studies: commands that run strategies many times, on other parameters, markets, windows and futures.

Each gathers what it needs from a configured run and leaves a result, as text and files; `backtests` computes.
"""
