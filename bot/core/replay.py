"""An exchange with a twin that is fed what it accepted, from the start: the live state must be what replay gives.

Debug mode runs on it. Whatever changes the state but by a command or an event, such as a strategy that reaches into
it, or a rule that depends on more than its inputs, makes the twins differ.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from bot.core.contract import Contract
from bot.core.events import Bar, Block, Quote, SwapRate
from bot.core.exchange import Exchange
from bot.core.invariants import InvariantError
from bot.core.ledger import Account
from bot.core.order import Command, Rejection
from bot.core.state import MarketRules, State

_PLAIN: Final = frozenset(field.name for field in dataclasses.fields(State)) - {
    "accounts",
    "by_cid",  # as long as the run: compared at its end, with
    "orders",
    "contract",
    "due_ns",  # when to look again, which may be early
    "fills",
    "ledger",
    "notices",  # who runs the exchange may add his own
    "rules",
    "venue",
}
_CACHES: Final = frozenset({"cached_margin_lots", "cached_sat", "cached_spot_lots", "cached_until", "standing"})
_ACCOUNT: Final = frozenset(Account.__slots__) - _CACHES


class TwinExchange(Exchange):
    """An exchange whose twin is told everything again; `compare` holds the two against each other."""

    __slots__ = ("twin",)

    def __init__(self, contract: Contract, rules: MarketRules, time_ns: int, keep_moves: bool = True) -> None:
        super().__init__(contract, rules, time_ns, keep_moves)
        self.twin = Exchange(contract, rules, time_ns, keep_moves)

    def submit(self, command: Command) -> int | Rejection:
        """Carry out a command; the twin must answer the same."""
        answer = super().submit(command)
        if not isinstance(answer, Rejection):
            again = self.twin.submit(command)
            if again != answer:
                raise InvariantError(10, f"{command}: answered {answer}, on replay {again}")
        return answer

    def on_block(self, block: Block) -> None:
        """Let a block pay its dividend."""
        super().on_block(block)
        self.twin.on_block(block)

    def on_swap_rate(self, row: SwapRate) -> None:
        """Let the market's lending offers change."""
        super().on_swap_rate(row)
        self.twin.on_swap_rate(row)

    def on_quote(self, quote: Quote) -> None:
        """Take in a quote."""
        super().on_quote(quote)
        self.twin.on_quote(quote)

    def on_bar_open(self, bar: Bar) -> None:
        """Take in a bar's open."""
        super().on_bar_open(bar)
        self.twin.on_bar_open(bar)

    def on_bar_close(self, bar: Bar) -> None:
        """Take in a closed bar."""
        super().on_bar_close(bar)
        self.twin.on_bar_close(bar)

    def settle(self) -> None:
        """Post everything that has accrued."""
        super().settle()
        self.twin.reach(self.state.time_ns, self.state.rank)
        self.twin.settle()

    def compare(self, whole: bool = False) -> None:
        """Raise InvariantError if the state is not what replay gives; `whole`: with every order and move there was."""
        self.twin.reach(self.state.time_ns, self.state.rank)
        ours, theirs = _plain(self.state, whole), _plain(self.twin.state, whole)
        for name, value in ours.items():
            if value != theirs[name]:
                raise InvariantError(10, f"{name} is {value!r}, on replay {theirs[name]!r}")


def _plain(state: State, whole: bool) -> dict[str, Any]:
    """Return what a state holds, by name, so that two can be compared."""
    plain = {name: getattr(state, name) for name in _PLAIN}
    plain["balances"] = state.ledger.balances
    for account in state.accounts.values():
        plain |= {f"{account.name}'s {name}": getattr(account, name) for name in _ACCOUNT}
    if whole:
        plain |= {"orders": state.orders, "by_cid": state.by_cid, "fills": state.fills, "moves": state.ledger.moves}
    return plain
