"""The contract's arithmetic where backtrader asks for it."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from backtests.plan import Plan
from bot.core.units import fee_sat, notional_sat


class CoreCommission(bt.CommInfoBase):  # type: ignore[misc]
    """The contract's own arithmetic, for those parts of backtrader that ask: sizes in lots, prices per contract."""

    def __init__(self, plan: Plan) -> None:
        self.contract = plan.settings.contract
        super().__init__()
        self._stocklike = True

    def getvaluesize(self, size: int, price: float) -> int:
        """Return the notional of `size` lots, in satoshi."""
        return notional_sat(size, int(price), self.contract.lots_per_contract)

    def getvalue(self, position: Any, price: float) -> int:
        """Return the notional of a position, in satoshi."""
        return self.getvaluesize(position.size, price)

    def getoperationcost(self, size: int, price: float) -> int:
        """Return what `size` lots cost, in satoshi."""
        return abs(self.getvaluesize(size, price))

    def getsize(self, price: float, cash: float) -> int:
        """Return the lots that `cash` satoshi buy, rounded down."""
        return int(cash * self.contract.lots_per_contract // price)

    def getcommission(self, size: int, price: float) -> int:
        """Return the taker fee on `size` lots, in satoshi."""
        return fee_sat(self.getoperationcost(size, price), self.contract.taker_fee_ppm)

    def profitandloss(self, size: int, price: float, newprice: float) -> float:
        """Return the profit of `size` lots from `price` to `newprice`, in satoshi."""
        return size * (newprice - price) / self.contract.lots_per_contract
