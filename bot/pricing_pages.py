"""A valuation as people read it, as programs read it, and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log1p
from typing import Any, Final

from bot.chain.chain import utc
from bot.core.units import NS_PER_S, SAT_PER_BTC
from bot.drawing import ACCENT, INK, SECOND, THIRD, Band, Line, Panel, svg
from bot.model.carry import continuous_per_day
from bot.model.deterministic import growth_per_retarget, value_c3
from bot.pricing import MONTH_DAYS, TRADE_AT, Valuation

_SLICES: Final = 40


def as_text(v: Valuation) -> str:
    """Return the valuation as tables; BTC per contract unless a unit is stated."""
    parts = [
        f"{v.contract.id} at {utc(v.at_ns)}, {v.term_days:.2f} days to expiry; BTC for one contract",
        _value(v),
        _price(v),
        _rows("Sensitivities", [(s.name, s.step, f"{s.change_btc:+.{v.digits}f} BTC") for s in v.sensitivities]),
        _schedule(v),
        _rows("Inputs", [(i.name, i.value, i.origin) for i in v.inputs]),
    ]
    return "\n\n".join(part for part in parts if part)


def _value(v: Valuation) -> str:
    rows = [
        (
            "expected payout",
            f"{v.value_btc:.{v.digits}f}",
            f"at {v.payout_day_btc:.{v.digits}f} a day now, growth by {v.model}",
        ),
        ("to a long", f"{v.long_btc:.{v.digits}f}", f"who borrows bitcoin at {100 * v.btc_day:g} % a day"),
        (
            "to a short",
            f"{v.short_btc:.{v.digits}f}",
            f"who borrows contracts at {100 * v.swap_day:g} % a day: his break-even",
        ),
        ("to a lender", f"{v.lender_btc:.{v.digits}f}", "who lends them out at that rate, less the venue's cut"),
        ("no trade between", f"{v.buy_below_btc:.{v.digits}f}", f"buy below: {_edge(v, 'low')}, after fee"),
        ("and", f"{v.sell_above_btc:.{v.digits}f}", f"sell short above: {_edge(v, 'high')}, after fee"),
    ]
    text = _rows("Value", rows)
    if v.quantiles_btc:
        text += "\n\n" + _rows("Quantiles", [(f"{100 * p:g} %", f"{q:.{v.digits}f}") for p, q in v.quantiles_btc])
    return text


def _edge(v: Valuation, side: str) -> str:
    if not v.quantiles_btc:
        return "the value to a long" if side == "low" else "the value to a short"
    share, who = (TRADE_AT, "long") if side == "low" else (1.0 - TRADE_AT, "short")
    return f"the {100 * share:g} % quantile to a {who}"


def _price(v: Valuation) -> str:
    said = v.implied
    if said is None:
        return ""
    rows = [
        (
            "a long held to expiry",
            f"{v.value_btc - said.price_btc:+.{v.digits}f} BTC",
            "expected, before fees and interest",
        ),
        ("implied growth, gross", _share(said.gross_month), "of difficulty in 30 days, borrowing free"),
        ("implied growth, net", _share(said.net_month), f"at a swap rate of {100 * v.swap_day:g} % a day"),
        ("break-even borrow rate", _share(said.break_even_day, 4), "a day, for a short held to expiry"),
    ]
    text = _rows(f"At a price of {said.price_btc:g} BTC", rows)
    if said.article:
        periods, value, gain, gross, net = said.article
        rows = [
            (
                "value",
                f"{value:.{v.digits}f}",
                f"{periods} months, difficulty {100 * v.growth_month:+g} % a month (C1)",
            ),
            ("a long gains", f"{gain:+.{v.digits}f} BTC", "and a short the opposite, interest apart"),
            ("implied growth", _share(gross, 4), "a month"),
            ("net of the swap", _share(net, 1), f"a month, at {100 * v.swap_day:g} % a day"),
        ]
        text += "\n\n" + _rows("As the article of 2014 counts", rows)
    return text


def _share(value: float | None, digits: int = 2) -> str:
    return "none explains it" if value is None else f"{100 * value:+.{digits}f} %"


def _schedule(v: Valuation) -> str:
    rows = [("from", "until", "difficulty", "dividends")]
    rows += [
        (utc(c.from_ns), utc(c.to_ns), f"{c.difficulty:,.0f}", f"{c.paid_sat / SAT_PER_BTC:.{v.digits}f}")
        for c in v.coming
    ]
    return _rows("Expected retargets, and what each stretch pays (BTC)", rows)


def _rows(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
    return title + "\n" + "\n".join(f"  {line}" for line in lines)


def as_document(v: Valuation) -> dict[str, Any]:
    """Return the valuation for programs; BTC, fractions, null where nothing explains the price."""
    said = v.implied
    document: dict[str, Any] = {
        "contract": v.contract.id,
        "at": utc(v.at_ns),
        "term_days": v.term_days,
        "model": v.model,
        "value_btc": v.value_btc,
        "value_to_long_btc": v.long_btc,
        "value_to_short_btc": v.short_btc,
        "value_to_lender_btc": v.lender_btc,
        "quantiles_btc": {f"{p:g}": q for p, q in v.quantiles_btc},
        "no_trade_band_btc": [v.buy_below_btc, v.sell_above_btc],
        "swap_rate_per_day": v.swap_day,
        "btc_rate_per_day": v.btc_day,
        "payout_now_btc_per_day": v.payout_day_btc,
        "growth_now_per_30_days": v.growth_month,
        "sensitivities": [s._asdict() for s in v.sensitivities],
        "schedule": [
            {
                "from": utc(c.from_ns),
                "to": utc(c.to_ns),
                "difficulty": c.difficulty,
                "paid_btc": c.paid_sat / SAT_PER_BTC,
            }
            for c in v.coming
        ],
        "inputs": [i._asdict() for i in v.inputs],
    }
    if said is not None:
        names = ("months", "value_btc", "long_gains_btc", "implied_growth_per_month", "implied_net_of_swap_per_month")
        document["price"] = {
            "price_btc": said.price_btc,
            "implied_growth_gross_per_30_days": said.gross_month,
            "implied_growth_net_per_30_days": said.net_month,
            "break_even_borrow_per_day": said.break_even_day,
            "article_2014": None if said.article is None else dict(zip(names, said.article, strict=True)),
        }
    return document


def as_svg(v: Valuation) -> str:
    """Return the drawing: fan of difficulty, value to expiry, value against growth."""
    title = f"{v.contract.id} at {utc(v.at_ns)}"
    note = f"Growth by {v.model}. Bands: 1 to 99 %, 5 to 95 % and 25 to 75 % of what may come, as seen at that moment."
    return svg(title, [_fan(v), _decay(v), _against_growth(v)], note if v.quantiles_btc else "")


_BANDS: Final = ((0.01, 0.99, 0.12), (0.05, 0.95, 0.18), (0.25, 0.75, 0.28))


def _fan(v: Valuation) -> Panel:
    """Return difficulty at the expected dates, in steps, with quantiles of each coming one."""
    steps = [(c.from_ns / NS_PER_S, c.to_ns / NS_PER_S, c.difficulty) for c in v.coming]
    middle = [(x, d / 1e9) for begin, end, d in steps for x in (begin, end)]
    bands = []
    path = v.fair.path
    if path is not None:
        from bot.model.random_clock import standard_quantile

        for low, high, opacity in _BANDS:
            edges: list[list[tuple[float, float]]] = [[], []]
            for number, (begin, end, _) in enumerate(_by_epoch(steps)):
                mean = 0.0 if number == 0 else float(path.mean[number - 1])
                sd = 0.0 if number == 0 else float(path.covariance[number - 1, number - 1]) ** 0.5
                for edge, p in zip(edges, (low, high), strict=True):
                    at = v.fair.difficulty / 1e9 * exp(mean + sd * standard_quantile(p, path.scales))
                    edge += [(begin, at), (end, at)]
            bands.append(Band(edges[0], edges[1], ACCENT, opacity))
    return Panel("Difficulty to expiry", "", "billions", [Line(middle, ACCENT, "expected")], bands, x_is_time=True)


def _by_epoch(steps: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Return steps with those of equal difficulty (cut at the start of the term, at a halving) joined."""
    joined: list[tuple[float, float, float]] = []
    for begin, end, level in steps:
        if joined and abs(joined[-1][2] / level - 1.0) < 1e-12:
            joined[-1] = (joined[-1][0], end, level)
        else:
            joined.append((begin, end, level))
    return joined


def _decay(v: Valuation) -> Panel:
    """Return what is still to be paid at each moment up to expiry, as seen now."""
    start = max(v.at_ns, v.contract.start_ns)
    length = v.contract.end_ns - start
    times = [start + length * n // _SLICES for n in range(_SLICES + 1)]  # floor
    left = [
        (t / NS_PER_S, sum(_after(c.from_ns, c.to_ns, c.paid_sat, t) for c in v.coming) / SAT_PER_BTC) for t in times
    ]
    bands = []
    path = v.fair.path
    if path is not None:
        from bot.model.halvings import reward_steps
        from bot.model.random_clock import second_order

        elapsed_s = (v.at_ns - v.fair.knowledge.epoch_start_ns) / NS_PER_S
        end_s = (v.contract.end_ns - v.at_ns) / NS_PER_S
        rewards = reward_steps(v.fair.knowledge.height, v.fair.expected_fees_sat, path.retargets)
        laws = [second_order(path, end_s, elapsed_s, (t - v.at_ns) / NS_PER_S, rewards) for t in times[:-1]]
        for low, high, opacity in _BANDS:
            edges = [
                [
                    *(
                        (x, y * float(law.quantile_s(p) / law.mean_s))
                        for (x, y), law in zip(left[:-1], laws, strict=True)
                    ),
                    (left[-1][0], 0.0),
                ]
                for p in (low, high)
            ]
            bands.append(Band(edges[0], edges[1], ACCENT, opacity))
    return Panel(
        "Dividends still to come", "", "BTC per contract", [Line(left, ACCENT, "expected")], bands,
        x_is_time=True, y_from_zero=True,
    )  # fmt: skip


def _after(from_ns: int, to_ns: int, paid_sat: float, time_ns: int) -> float:
    return paid_sat * min(max(to_ns - time_ns, 0) / (to_ns - from_ns), 1.0)


def _against_growth(v: Valuation) -> Panel:
    """Return the value to each party against steady growth of difficulty, with the price."""
    end_s = (v.contract.end_ns - v.at_ns) / NS_PER_S
    begin_s = max(v.contract.start_ns - v.at_ns, 0) / NS_PER_S
    elapsed_s = (v.at_ns - v.fair.knowledge.epoch_start_ns) / NS_PER_S
    btc, swap = continuous_per_day(round(v.btc_day * 1e9)), continuous_per_day(round(v.swap_day * 1e9))
    kept = 1.0 - v.contract.lending.venue_cut_ppm / 1e6
    parties = (("long", btc, ACCENT), ("short", -swap, SECOND), ("lender", btc - kept * swap, THIRD))
    months = [percent / 100 for percent in range(-20, 51, 2)]
    lines = []
    for who, rate, colour in parties:
        points = []
        for month in months:
            x = growth_per_retarget(log1p(month) / MONTH_DAYS)
            rate_s = v.fair.expected_rate_sat_s / SAT_PER_BTC
            value = value_c3(
                rate_s,
                x,
                end_s,
                elapsed_s=elapsed_s,
                discount_per_day=rate,
                from_s=begin_s,
                height=v.fair.knowledge.height,
            )
            points.append((100 * month, value))
        lines.append(Line(points, colour, f"to a {who}"))
    if v.implied is not None:
        price = v.implied.price_btc
        lines.append(Line([(-20.0, price), (50.0, price)], INK, "price", dashed=True))
    marks = [(100 * v.growth_month, "the growth used" if not v.quantiles_btc else "next retarget's growth")]
    shown = [mark for mark in marks if -20 <= mark[0] <= 50]
    return Panel(
        "Value against steady growth", "growth of difficulty, % in 30 days", "BTC per contract", lines, marks=shown,
        y_from_zero=True,
    )  # fmt: skip
