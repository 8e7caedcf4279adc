"""The block chain as plain integers: difficulty, verified headers, bundled figures; nothing of it trusts its source.

`bot.chain.chain.load` gives a run its blocks, `bot.chain.bundle.make` remakes the figures from raw headers,
`bot.chain.verify.verify` recomputes what the figures allow to be recomputed.
"""
