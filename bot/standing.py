"""How a daemon stands, as plain JSON: satoshi, lots, parts per billion a day, times in UTC."""

from __future__ import annotations

from typing import Any

from bot.core.events import BTC, CONTRACT
from bot.core.ledger import Account
from bot.core.order import DEPOSIT, WALLETS
from bot.core.state import Loan, State
from bot.core.units import NS_PER_S
from bot.daemon import Daemon
from bot.desk import Desk
from bot.history.fields import iso_utc


def status(daemon: Daemon) -> dict[str, Any]:
    """Return the market and, for each strategy, its mode, position and worth."""
    first = next(iter(daemon.desks.values())).session
    contract, state = first.settings.contract, first.state
    blocks = first.view.blocks
    fair_sat = 0 if state.expired else round(first.value.value_sat(state.time_ns))
    return {
        "simulated_prices": daemon.head["simulated"],
        "contract": contract.id,
        "time_utc": iso_utc(daemon.time_ns),
        "time_ns": daemon.time_ns,
        "events": daemon.steps,
        "entries": daemon.journal.sequence,
        "height": blocks[-1].height if blocks else 0,
        "price_sat": state.mark_sat,
        "fair_sat": fair_sat,
        "to_expiry_s": max(contract.end_ns - daemon.time_ns, 0) // NS_PER_S,  # rounded down
        "expired": state.expired,
        "feed": daemon.head["feed"],
        "asset": contract.asset,
        "swap_rate_ppb_day": state.market_rate_ppb_day[CONTRACT],
        "borrowable_lots": first.view.borrowable(CONTRACT) if state.mark_sat else 0,
        "strategies": [_strategy(desk) for desk in daemon.desks.values()],
    }


def _strategy(desk: Desk) -> dict[str, Any]:
    session, state = desk.session, desk.session.state
    return {
        "name": desk.name,
        "mode": session.trader.mode,
        "reason": session.trader.reason,
        "position_lots": session.exchange.position_lots(desk.name),
        "equity_sat": session.exchange.equity_sat(desk.name),
        "orders": sum(order.is_live for order in state.live),
        "loans": len(state.accounts[desk.name].loan_ids),
        "fills": len(state.fills),  # nobody else trades on a desk's exchange
    }


def orders(daemon: Daemon) -> dict[str, Any]:
    """Return every order that may still trade."""
    rows = [
        {
            "strategy": desk.name,
            "id": order.id,
            "placed_utc": iso_utc(order.command.time_ns),
            "wallet": order.command.wallet,
            "size_lots": order.size_lots,
            "remaining_lots": order.remaining_lots,
            "price_sat": order.command.price_sat,
            "status": order.status,
            "forced": order.forced,
        }
        for desk in daemon.desks.values()
        for order in desk.session.state.live
        if order.is_live
    ]
    return {"simulated_prices": daemon.head["simulated"], "time_utc": iso_utc(daemon.time_ns), "orders": rows}


def positions(daemon: Daemon) -> dict[str, Any]:
    """Return what each strategy owns, owes, lends and has borrowed, and until when."""
    rows = []
    for desk in daemon.desks.values():
        state = desk.session.state
        account = state.accounts[desk.name]
        rows.append(
            {
                "strategy": desk.name,
                "owned_lots": account.spot_lots(state.ledger),
                "margin_lots": account.margin_lots(state.ledger),
                "lent_lots": state.balance(account.lent[CONTRACT]),
                "on_offer_lots": state.balance(account.purses[DEPOSIT][CONTRACT]),
                "wallets_sat": _wallets(state, account),
                "equity_sat": desk.session.exchange.equity_sat(desk.name),
                "margin_called": account.called,
                "loans": [_loan(state.loans[loan_id]) for loan_id in account.loan_ids],
            }
        )
    return {"simulated_prices": daemon.head["simulated"], "time_utc": iso_utc(daemon.time_ns), "positions": rows}


def _wallets(state: State, account: Account) -> dict[str, int]:
    return {name: state.balance(account.purses[name][BTC]) for name in WALLETS}


def _loan(loan: Loan) -> dict[str, Any]:
    return {
        "id": loan.id,
        "asset": ("BTC (sat)", "contract (lots)")[loan.asset],
        "amount": loan.amount,
        "rate_ppb_day": loan.rate_ppb_day,
        "ends_utc": iso_utc(loan.end_ns),
        "overdue": loan.overdue,
    }
