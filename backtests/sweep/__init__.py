"""A sweep: one strategy's parameters over many values, on one market or many, by one process or many.

`space` says which trials there are, `guided` which Optuna would make next, `job` what one trial on one market does,
`markets` how histories are shared, `local` and `cluster` where trials run, `rows` how their results outlive a kill,
`run` ties these together. What a trial's row says does not depend on where or when it ran.
"""
