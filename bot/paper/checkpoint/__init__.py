"""Checkpoints: what a replay comes to at an entry, kept so that a start need not begin at the first one.

plain.py      values of known types as JSON, and back again, exactly
exchange.py   an exchange's state
session.py    a session: exchange, trader, view, value
store.py      the row in the journal's file: bound to the entry that it stands at
past.py       what has ended, in the file in place of memory: fills, notices, orders
"""
