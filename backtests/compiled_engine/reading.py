"""What lies in the arena when a run has ended, read by the fields of the structs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from backtests.compiled_engine.structs import BALANCES, LEDGER, ORDER, ORDERS, STATE

_COMMAND: Final = 10
"""Words of a PlaceOrder."""


class Reader:
    """Reads the lists of a state; each is a copy, for the arena is used again."""

    def __init__(self, words: Any, base: int, state_at: int) -> None:
        self._words, self._base, self._state_at = words, base, state_at

    def rows(self, name: str, size: int) -> Any:
        """Return a list of the state whose items are records of `size` words."""
        return self._list(self._word(self._state_at, STATE, name), size)

    def moves(self) -> Any:
        """Return the ledger's moves."""
        return self._list(self._word(self._ledger_at(), LEDGER, "moves"), 6)

    def balances(self) -> Any:
        """Return the balance at each place."""
        from backtests.compiled_engine.setting_up import PLACES

        balances_at = self._word(self._ledger_at(), LEDGER, "balances")
        at = self._place(self._word(balances_at, BALANCES, "items_at"))
        return self._words[at : at + PLACES].copy()

    def orders(self) -> Any:
        """Return the commands of all orders."""
        orders_at = self._word(self._state_at, STATE, "orders")
        pointers = self._list(self._word(orders_at, ORDERS, "items"), 1)[:, 0]
        places = (pointers - self._base) // 8 + ORDER.places["command"]
        return self._words[places[:, None] + np.arange(_COMMAND)]

    def _ledger_at(self) -> int:
        return self._word(self._state_at, STATE, "ledger")

    def _place(self, address: int) -> int:
        return (address - self._base) // 8

    def _word(self, address: int, struct: Any, name: str) -> int:
        return int(self._words[self._place(address) + struct.places[name]])

    def _list(self, address: int, size: int) -> Any:
        count, _, items_at = self._words[self._place(address) : self._place(address) + 3].tolist()
        at = self._place(items_at) if count else 0
        return self._words[at : at + count * size].reshape(count, size).copy()
