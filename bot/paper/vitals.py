"""What monitors ask for: is it alive (`/health`), and its figures in Prometheus' text format (`/metrics`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot import __version__
from bot.core.units import NS_PER_S
from bot.paper.snapshot import Snapshot

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus, exposition formats, text format 0.0.4."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How old the last quote and the last block may be before the daemon counts as ill."""

    quote_ns: int
    block_ns: int


def age_ns(snapshots: Sequence[Snapshot], now_ns: int, of: str) -> int | None:
    """Return the age of the newest `last_quote_ns` or `last_block_ns`, not below 0; None before the first."""
    newest = max((getattr(each, of) for each in snapshots), default=0)
    return max(now_ns - newest, 0) if newest else None


def health(snapshots: Sequence[Snapshot], now_ns: int, limits: Limits, fault: str) -> tuple[bool, dict[str, Any]]:
    """Return whether all is well, and the document that says so: ages in whole seconds, rounded down, or null."""
    problems = [fault] if fault else []
    running = [each for each in snapshots if not each.expired]
    ages = {}
    for name, of, limit_ns in (
        ("quote", "last_quote_ns", limits.quote_ns),
        ("block", "last_block_ns", limits.block_ns),
    ):
        age = age_ns(snapshots, now_ns, of)
        ages[f"{name}_age_s"] = None if age is None else age // NS_PER_S  # rounded down
        if running and age is None:
            problems.append(f"no {name} yet")
        elif running and age is not None and age > limit_ns:
            problems.append(f"the last {name} is {age // NS_PER_S} s old; allowed are {limit_ns // NS_PER_S} s")
    status = "ok" if not problems else "ill"
    if status == "ok" and snapshots and not running:
        status = "expired"
    return not problems, {"status": status, **ages, "problems": problems, "version": __version__}


def metrics(snapshots: Sequence[Snapshot], now_ns: int, ok: bool) -> str:
    """Return all figures in Prometheus' text format; amounts in their integer units, which the names state."""
    lines: list[str] = []
    for name, kind, text, samples in _families(snapshots, now_ns, ok):
        lines += [f"# HELP fairhash_{name} {text}", f"# TYPE fairhash_{name} {kind}"]
        lines += [f"fairhash_{name}{_labels(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


_Samples = list[tuple[dict[str, str], int | float]]


def _families(snapshots: Sequence[Snapshot], now_ns: int, ok: bool) -> Iterator[tuple[str, str, str, _Samples]]:
    yield "build_info", "gauge", "Version of fairhash.", [({"version": __version__}, 1)]
    yield "healthy", "gauge", "1 if /health answers 200.", [({}, int(ok))]
    for name, of in (("quote", "last_quote_ns"), ("block", "last_block_ns")):
        age = age_ns(snapshots, now_ns, of)
        samples: _Samples = [] if age is None else [({}, age / NS_PER_S)]
        yield f"last_{name}_age_seconds", "gauge", f"Age of the last {name} by the run's clock.", samples
    for name, kind, text in _OF_MARKET:
        yield name, kind, text, [({"contract": each.contract}, _figure(each, name)) for each in snapshots[:1]]
    for name, kind, text in _OF_STRATEGY:
        own: _Samples = []
        for each in snapshots:
            if name != "fair_value_satoshi" or each.fair_sat is not None:
                own.append(({"strategy": each.strategy}, _figure(each, name)))
        yield name, kind, text, own
    wallets: _Samples = [
        ({"strategy": each.strategy, "wallet": wallet}, sat) for each in snapshots for wallet, sat, _ in each.wallets
    ]
    yield "wallet_satoshi", "gauge", "Bitcoin in a wallet, what is reserved included.", wallets


_OF_MARKET: Final = (
    ("price_satoshi", "gauge", "Mark in satoshi per contract."),
    ("simulated_prices", "gauge", "1 if any price or rate is simulated."),
    ("swap_rate_ppb_per_day", "gauge", "Market rate for borrowing contracts."),
    ("difficulty", "gauge", "Difficulty of the present epoch."),
    ("block_height", "gauge", "Height of the last block taken in."),
    ("next_retarget_timestamp_seconds", "gauge", "When the next retarget is expected, in Unix time."),
)
_OF_STRATEGY: Final = (
    ("fair_value_satoshi", "gauge", "Modelled worth of one contract, undiscounted."),
    ("position_lots", "gauge", "Net position, short negative."),
    ("equity_satoshi", "gauge", "Everything the account is worth at the mark."),
    ("peak_equity_satoshi", "gauge", "Highest equity so far."),
    ("open_orders", "gauge", "Orders that may still trade."),
    ("open_loans", "gauge", "Loans taken or given."),
    ("halted", "gauge", "1 if the strategy was stopped."),
    ("fills_total", "counter", "Fills on the strategy's exchange."),
    ("notices_total", "counter", "Notices on the strategy's exchange."),
)


def _figure(each: Snapshot, name: str) -> int | float:
    """Return one figure of a snapshot."""
    figures: dict[str, int | float] = {
        "price_satoshi": each.price_sat,
        "simulated_prices": int(each.simulated),
        "swap_rate_ppb_per_day": each.swap_rate_ppb_day,
        "difficulty": each.difficulty,
        "block_height": each.height,
        "next_retarget_timestamp_seconds": each.next_retarget_ns / NS_PER_S,
        "fair_value_satoshi": each.fair_sat or 0,
        "position_lots": each.position_lots,
        "equity_satoshi": each.equity_sat,
        "peak_equity_satoshi": each.peak_sat,
        "open_orders": len(each.orders),
        "open_loans": sum(loan.loans for loan in each.loans),
        "halted": int(each.halted),
        "fills_total": each.fills,
        "notices_total": each.notices,
    }
    return figures[name]


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    escaped = {
        key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for key, value in labels.items()
    }
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"
