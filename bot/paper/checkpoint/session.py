"""A session as a document of plain values, and a new session brought to where a document says.

What recovery by replay does not bring back is left out here too: what the strategy answered last. It is a pure
function, and is asked again.
"""

from __future__ import annotations

from typing import Any

from bot.core.events import Block
from bot.core.units import NS_PER_HOUR
from bot.model.learned import learned, relearn
from bot.paper.checkpoint import exchange
from bot.paper.checkpoint.plain import made, plain
from bot.session import Session
from bot.trader import FLAT, HALTED, MODES, Trader
from strategies.view import View

_VIEW = ("_bid_sat", "_bid_size_lots", "_ask_sat", "_ask_size_lots", "time_ns", "equity_sat")


def document_of(session: Session) -> dict[str, Any]:
    """Return what a session must know to go on, as plain values."""
    trader, view = session.trader, session.view
    now = session.state.time_ns
    return {
        "exchange": exchange.document_of(session.exchange),
        "mode": [trader.mode, trader.reason],
        "orders": [trader.last_cid, [at for at in trader.placed_ns if now - at < NS_PER_HOUR]],
        "seen": [getattr(view, name) for name in _VIEW],
        "blocks": plain(list(view._blocks)),
        "value": learned(session.value),
        "peak_sat": session.peak_sat,
        "last_market_ns": session.last_market_ns,
    }


def resume(session: Session, document: dict[str, Any]) -> None:
    """Bring a new session to where a document says. Raises ValueError, KeyError or TypeError for one that is none."""
    exchange.resume(session.exchange, document["exchange"])
    _resume_trader(session.trader, document)
    _resume_view(session.view, document)
    relearn(session.value, document["value"])
    session._peak_sat = made(int, document["peak_sat"])
    session.last_market_ns = made(int, document["last_market_ns"])


def _resume_trader(trader: Trader, document: dict[str, Any]) -> None:
    mode, reason = made(list[str], document["mode"])
    if mode not in MODES:
        raise ValueError(f"{mode!r} is no mode")
    trader.mode, trader.reason = mode, reason
    trader.halted, trader.is_stopped = mode == FLAT, mode in (FLAT, HALTED)
    last_cid, placed_ns = document["orders"]
    trader.last_cid = made(int, last_cid)
    trader.placed_ns.clear()
    trader.placed_ns.extend(made(list[int], placed_ns))


def _resume_view(view: View, document: dict[str, Any]) -> None:
    for name, value in zip(_VIEW, made(list[int], document["seen"]), strict=True):
        setattr(view, name, value)
    view._blocks.clear()
    view.see_blocks(made(list[Block], document["blocks"]))
