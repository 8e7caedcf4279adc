"""A strategy of the compiled engine's subset that does everything a target can ask for: moody of histories.py, drawn
from arithmetic that machine code can do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bot.core.units import NS_PER_S, PPM
from strategies.view import Target, View, Wake


@dataclass(frozen=True)
class Whim:
    """Parameters of `whimsical`: what it wants is drawn from its seed and the time, and from nothing else."""

    seed: int
    patience_ns: int
    lots: int
    sleeps: bool


def drawn(seed: int, mood: int, number: int) -> int:
    """Return a number below 65,537 that looks random."""
    found = (seed % 65_537 * 31 + mood % 65_537 * 17 + number * 101) % 65_537
    for _ in range(4):
        found = (found * found + 75 * found + 74 + number) % 65_537
    return found


def decide(view: View, params: Whim) -> Target:
    """Return a target that changes at random, by market or limit order, owned, financed, lent out or short."""
    mood = view.time_ns // params.patience_ns
    lots = (drawn(params.seed, mood, 1) % 3 - 1) * (1 + drawn(params.seed, mood, 2) % params.lots)
    financed = drawn(params.seed, mood, 3) % 2 == 0
    lent = 0
    if lots > 0 and drawn(params.seed, mood, 4) % 2 == 0:
        lent = drawn(params.seed, mood, 5) % (lots + 1)
    rate = 9_000_000 if drawn(params.seed, mood, 6) % 3 == 0 else 0
    if drawn(params.seed, mood, 7) % 5 < 2:
        tick = view.contract.tick_sat
        wanted = view.price_sat * (980_000 + drawn(params.seed, mood, 8) % 40_000) // PPM
        seen = min(max(lots, -view.bid_size_lots), view.ask_size_lots)
        return Target(seen, max(wanted // tick * tick, tick), financed, 0, rate)
    if view.swap_rate_ppb_day() > 11_000_000:
        lots, financed, lent, rate = 0, False, 0, 0
    if not params.sleeps or view.borrowable() < 5:
        return Target(lots, 0, financed, lent, rate)
    return Target(lots, 0, financed, lent, rate, Wake(-math.inf, math.inf, (mood + 1) * params.patience_ns))


@dataclass(frozen=True)
class Nerves:
    """Parameters of `skittish`: how far edge and exposure may move before it wakes, and what does not wake it."""

    seed: int
    lots: int
    edge_room: float
    exposure_room: float
    patience_ns: int
    on_rates: bool


def skittish(view: View, params: Nerves) -> Target:
    """Return a target drawn from the very moment at which it is asked: who wakes it at another is found out."""
    moment = view.time_ns // NS_PER_S
    draw = drawn(params.seed, moment, 1)
    lots = (draw % 3 - 1) * (1 + drawn(params.seed, moment, 2) % params.lots)
    if draw % 4 == 0 or view.position_lots == 0:
        low, high = -math.inf, math.inf
    else:
        exposure = view.exposure
        low = exposure * (1.0 - params.exposure_room) if draw % 5 > 0 else -math.inf
        high = exposure * (1.0 + params.exposure_room) if draw % 7 > 0 else math.inf
        lots = view.position_lots  # it holds on until one of them is left
    edge, until_ns = view.edge, view.time_ns + params.patience_ns
    edges = edge - params.edge_room, edge + params.edge_room
    return Target(lots, 0, draw % 2 == 0, 0, 0, Wake(edges[0], edges[1], until_ns, low, high, params.on_rates))
