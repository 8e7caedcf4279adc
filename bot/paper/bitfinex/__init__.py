"""The Bitfinex v2 protocol over the paper exchange, as ccxt speaks it: requests go in, replies come out, no sockets."""
