"""What backtrader's interface offers and the core lacks: refused by name, never approximated."""

from __future__ import annotations

from typing import Final

from bot.errors import UnsupportedError

REFUSED: Final = {
    "setcash": "the deposit is part of the plan",
    "set_cash": "the deposit is part of the plan",
    "add_cash": "send a Deposit or Withdraw with `command`",
    "setcommission": "fees are terms of the contract",
    "addcommissioninfo": "fees are terms of the contract",
    "set_slippage_perc": "the market's rules are part of the plan",
    "set_slippage_fixed": "the market's rules are part of the plan",
    "set_filler": "the market's rules are part of the plan",
    "set_coc": "a decision fills at the next event at the earliest",
    "set_coo": "a decision fills at the next event at the earliest",
    "set_checksubmit": "the core checks every order when it is placed",
    "set_shortcash": "a short is financed by loans of contracts",
    "set_int2pnl": "interest is posted by the core",
    "set_eosbar": "there are no sessions: the contract trades around the clock",
    "set_fundmode": "shares of a fund are not kept",
    "set_fund_history": "a history of cash cannot be played back",
    "add_order_history": "a history of orders cannot be played back",
}
"""Methods of backtrader's own broker and why this one has none of them."""
ORDER_OPTIONS: Final = ("plimit", "valid", "oco", "trailamount", "trailpercent", "parent")
"""Arguments of an order that the core knows nothing of."""


def refused(what: str, remedy: str) -> UnsupportedError:
    """Return the error that names what is missing and what to do instead."""
    return UnsupportedError(f"the backtrader engine has no {what}: {remedy}")


def whole(what: str, value: float) -> int:
    """Return `value` as an integer. Raises UnsupportedError when it has a fraction: `what` names it."""
    if value % 1 != 0:  # true of NaN and infinities, too
        raise refused(f"{what} {value}", "sizes are whole lots, prices whole satoshi per contract")
    return int(value)
