"""Live sources of market events: blocks of a node or an explorer, quotes of an exchange, and a recorder of both.

`bot.feeds.join.make_feed` gives the daemon one stream of bot.core.events; nothing here is believed that can be checked,
no failure is passed over, and time comes from a clock that the caller gives.
"""
