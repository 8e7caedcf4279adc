"""Many runs of one strategy over simulated worlds: what one run leaves behind, and what many of them say of risk."""

from backtests.montecarlo.risk import Estimate, Risk, risk_of
from backtests.montecarlo.rows import Row, Sampled, row_of, sampled_days

__all__ = ["Estimate", "Risk", "Row", "Sampled", "risk_of", "row_of", "sampled_days"]
