"""Rows of a history file, each either an event or a refusal with file:line; loading and checking share it.

| kind       | columns                          | what each row must hold                                        |
|------------|----------------------------------|----------------------------------------------------------------|
| bars       | time,open,high,low,close,volume  | low <= open, close <= high; no two bars overlap                |
| quotes     | time,bid,bid_size,ask,ask_size   | bid < ask, or bid = ask with both sizes above 0                |
| swap rates | time,asset,rate_per_day,available| the asset is BTC or the contract's; one row for a time and asset |

Times rise. A row that repeats the one before is ignored and counted; one that contradicts it is refused.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice, pairwise
from operator import sub
from pathlib import Path
from typing import NamedTuple

from bot.core.contract import Contract
from bot.core.events import Bar
from bot.core.units import INT64_MAX, NS_PER_S
from bot.errors import HistoryError, Problem
from bot.history.fields import FieldError, TimeFields, quoted, span_ns, time_fields
from bot.history.lines import MAX_ROWS, Comment, Table, nearest, open_table
from bot.history.rows import COLUMNS, Row, RowFields, row_fields
from bot.history.series import BARS, QUOTES, RATES, Gap

MAX_PROBLEMS = 20
SPIKE_FACTOR = 500
"""A jump by this factor in one row is a spike: low enough to catch x1000 on a market that halves meanwhile."""
QUIET_INTERVALS = 10
"""Quotes of no stated interval come when they come: a gap is a silence of this many usual spacings."""

ANY_PRICE = INT64_MAX
"""The bound of a reader who believes any price."""

SIMULATED, INTERVAL, ACCEPT_SPIKES, CONTRACT_ID = "simulated", "interval", "accept-spikes", "contract"
_MEANT = (SIMULATED, INTERVAL, ACCEPT_SPIKES, CONTRACT_ID)


class Spike(NamedTuple):
    """A price that jumps by SPIKE_FACTOR or more from the row before: its line, time and both prices in satoshi."""

    line: int
    time_ns: int
    before_sat: int
    price_sat: int


@dataclass(slots=True)
class Reading:
    """What a file held, good and bad. `kept` holds the first MAX_PROBLEMS of `refused` problems with their lines."""

    path: str
    kind: str = ""
    rows: list[Row] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    simulated: bool = False
    sha256: str = ""
    interval_ns: int = 0
    interval_stated: bool = False
    guess_ns: int = 0
    spikes_accepted: bool = False
    duplicates: int = 0
    rounded: int = 0
    gaps: list[Gap] = field(default_factory=list)
    spikes: list[Spike] = field(default_factory=list)
    refused: int = 0
    kept: list[tuple[int, Problem]] = field(default_factory=list)

    def refuse(self, line: int, what: str, remedy: str = "") -> None:
        """Note a problem; beyond MAX_PROBLEMS it is only counted."""
        self.refused += 1
        if len(self.kept) < MAX_PROBLEMS:
            self.kept.append((line, Problem(f"{self.path}:{line}" if line else self.path, what, remedy)))

    def problems(self) -> list[Problem]:
        """Return the problems in the order of the file, at last how many more there are."""
        problems = [problem for _, problem in sorted(self.kept, key=lambda entry: entry[0])]
        if self.refused > len(problems):
            problems.append(Problem(self.path, f"and {self.refused - len(problems)} problems more"))
        return problems

    def notes(self) -> tuple[str, ...]:
        """Return in words what was noticed and is no fault."""
        notes = []
        if self.duplicates:
            notes.append(f"{self.duplicates} identical rows ignored")
        if self.rounded:
            notes.append(f"{self.rounded} sizes rounded down to whole units")
        if self.gaps:
            notes.append(f"{len(self.gaps)} gaps, {sum(gap.missing for gap in self.gaps)} rows missing")
        if self.spikes_accepted and self.spikes:
            notes.append(f"{len(self.spikes)} spikes accepted by the file's own word")
        return tuple(notes)


def read(
    path: str | Path,
    contract: Contract,
    kinds: tuple[str, ...] = (BARS, QUOTES, RATES),
    max_price_sat: int = ANY_PRICE,
) -> Reading:
    """Read a history file of one of `kinds`, collecting every problem; it never raises for what a file holds.

    No price may be above `max_price_sat`, in satoshi per contract.
    """
    reading = Reading(str(path))
    try:
        table = open_table(path)
        reading.kind = _kind(table, kinds)
        _comments(reading, table.comments, contract)
        _rows(reading, table, contract)
        reading.sha256 = table.hash.hexdigest()
    except HistoryError as fault:
        for problem in fault.problems:
            line = problem.where.removeprefix(f"{reading.path}:")
            reading.refuse(int(line) if line.isdigit() else 0, problem.what, problem.remedy)
    if not reading.rows and not reading.refused:
        reading.refuse(0, "has no rows", "a history needs at least one")
    if reading.kind != RATES:
        _spacing(reading)
        _spikes(reading)
        _dear(reading, max_price_sat)
    return reading


def _kind(table: Table, kinds: tuple[str, ...]) -> str:
    for kind in kinds:
        if table.columns == COLUMNS[kind]:
            return kind
    found = {name.strip().lower() for name in table.columns}
    kind = max(kinds, key=lambda each: (len(found.intersection(COLUMNS[each])), -len(COLUMNS[each])))
    expected = COLUMNS[kind]
    where = f"{table.path}:{table.header_line}" if table.header_line else table.path
    problems = [
        Problem(where, f"unknown column {quoted(name)}", nearest(name, expected))
        for name in table.columns[:MAX_PROBLEMS]
        if name not in expected
    ]
    wanted = " or ".join(",".join(COLUMNS[each]) for each in kinds)
    problems.append(Problem(where, f"header {quoted(','.join(table.columns))} is not {wanted}", "in that order"))
    raise HistoryError(problems)


def _comments(reading: Reading, comments: dict[str, Comment], contract: Contract) -> None:
    for key, comment in comments.items():
        line, text = comment.line, comment.text
        if key in (SIMULATED, ACCEPT_SPIKES):
            if text not in ("true", "false"):
                reading.refuse(line, f"{key}: {quoted(text)} is neither true nor false")
            elif key == SIMULATED:
                reading.simulated = text == "true"
            else:
                reading.spikes_accepted = text == "true"
        elif key == INTERVAL:
            try:
                reading.interval_ns = span_ns(text)
                reading.interval_stated = True
            except FieldError as fault:
                reading.refuse(line, f"interval: {fault.what}", fault.remedy)
        elif key == CONTRACT_ID:
            if text != contract.id:
                reading.refuse(line, f"contract: {quoted(text)} is not {contract.id}", "this is another contract's")
        elif text and (close := nearest(key, _MEANT)):
            # A misspelt `simulated` would pass off simulated prices as real ones.
            reading.refuse(line, f"unknown comment {quoted(key)}", close)
        elif SIMULATED not in comments and "simul" in f"{key} {text}".lower():
            # So would one that only a person understands: `# simulated = true`, `# SIMULATED PRICES`.
            what = f"comment {quoted(key)} speaks of simulation, and no comment states whether prices are simulated"
            reading.refuse(line, what, "write `# simulated: true` or `# simulated: false`")


def _rows(reading: Reading, table: Table, contract: Contract) -> None:
    """Parse every row; rows stay in `reading.rows` with the line of each in `reading.lines`."""
    rows, lines = reading.rows, reading.lines
    fields: RowFields | None = None
    last_ns = 0
    for first, texts in table.blocks:
        if fields is None and texts:
            times = time_fields(texts[0].partition(",")[0])
            reading.guess_ns = reading.interval_ns or _guess_ns(times, texts)
            fields = row_fields(reading.kind, contract, times, reading.guess_ns)
        if fields is None:
            continue
        parse = fields.row
        for line, text in enumerate(texts, first):
            try:
                row = parse(text)
            except FieldError:
                _blame(reading, line, text, fields)
                continue
            time_ns = row[0]
            if time_ns <= last_ns and _repeats(reading, line, row):
                continue
            last_ns = time_ns
            rows.append(row)
            lines.append(line)
        if len(rows) > MAX_ROWS:
            reading.refuse(lines[MAX_ROWS], f"has more than {MAX_ROWS} rows", "split it or take longer bars")
            break
    reading.rounded = sum(sizes.rounded for sizes in fields.sizes) if fields else 0


def _guess_ns(times: TimeFields, texts: list[str]) -> int:
    """Return the spacing of the first two rows: mostly the interval, which spares making each bar twice."""
    try:
        first, second = (times.parse(text.partition(",")[0]) for text in texts[:2])
    except ValueError:
        return 0  # fewer rows, or refused ones: reading them says why
    return second - first


def _blame(reading: Reading, line: int, text: str, fields: RowFields) -> None:
    """Note everything that is wrong with a row that was refused, column by column."""
    names = COLUMNS[reading.kind]
    values = text.split(",", len(names))
    if len(values) != len(names):
        count = text.count(",") + 1
        remedy = "comments stand before the header only" if text.startswith("#") else f"expected {','.join(names)}"
        reading.refuse(line, f"row has {count} columns, not {len(names)}: {quoted(text)}", remedy)
        return
    before = reading.refused
    for name, value, parse in zip(names, values, fields.columns, strict=True):
        try:
            parse(value)
        except FieldError as fault:
            reading.refuse(line, f"{name}: {fault.what}", fault.remedy)
    if reading.refused > before:
        return
    try:
        fields.row(text)
    except FieldError as fault:
        reading.refuse(line, fault.what, fault.remedy)


def _repeats(reading: Reading, line: int, row: Row) -> bool:
    """Return whether a row that does not come after the last one is left out: repeated, contradicting or late."""
    last = reading.rows[-1]
    if row[0] < last[0]:
        reading.refuse(
            line, f"time is before that of line {reading.lines[-1]}", "sort the rows by time; it must not fall"
        )
        return True
    identity = 2 if reading.kind == RATES else 1
    for index in range(len(reading.rows) - 1, -1, -1):
        earlier = reading.rows[index]
        if earlier[0] != row[0]:
            break
        if earlier[:identity] == row[:identity]:
            if earlier == row:
                reading.duplicates += 1
            else:
                reading.refuse(line, f"contradicts line {reading.lines[index]} of the same time", "keep one")
            return True
    return False


def _spacing(reading: Reading) -> None:
    """Find the interval and the gaps; bars must not overlap and learn when they close."""
    times = [row[0] for row in reading.rows]
    spacings = list(map(sub, islice(times, 1, None), times))
    if not reading.interval_stated and spacings:
        # The most common spacing; among equally common ones the shortest.
        reading.interval_ns = min(Counter(spacings).items(), key=lambda entry: (-entry[1], entry[0]))[0]
    interval_ns = reading.interval_ns
    if reading.kind == BARS:
        _close_bars(reading, times, spacings)
    if not interval_ns:
        return
    loud = interval_ns if reading.kind == BARS or reading.interval_stated else QUIET_INTERVALS * interval_ns
    start = interval_ns if reading.kind == BARS else 0
    if spacings and max(spacings) > loud:
        reading.gaps = [
            Gap(before + start, after, (after - before - 1) // interval_ns)
            for before, after in pairwise(times)
            if after - before > loud
        ]


def _close_bars(reading: Reading, times: list[int], spacings: list[int]) -> None:
    interval_ns = reading.interval_ns
    if not interval_ns:
        if times and not reading.refused:
            reading.refuse(reading.lines[0], "a single bar does not tell its length", "state it: # interval: 3600 s")
        return
    if spacings and min(spacings) < interval_ns:
        for index, spacing in enumerate(spacings):
            if spacing < interval_ns:
                reading.refuse(
                    reading.lines[index + 1],
                    f"bar opens {spacing // NS_PER_S} s after the one before, which lasts {interval_ns // NS_PER_S} s",
                    "bars must not overlap; state another length with # interval: 3600 s",
                )
    if reading.guess_ns != interval_ns:
        reading.rows = [Bar(row[0], row[0] + interval_ns, *row[2:]) for row in reading.rows]


def _spikes(reading: Reading) -> None:
    """Find jumps by SPIKE_FACTOR against the last row that did not jump; refuse them unless the file vouches.

    A bar's high and low are held against the close before, a bid against a bid, an ask against an ask.
    """
    if not reading.rows:
        return
    first = reading.rows[0]
    top, bottom = (3, 4) if reading.kind == BARS else (3, 1)
    after_top, after_bottom = (5, 5) if reading.kind == BARS else (3, 1)
    top_sat, bottom_sat = (first[2], first[2]) if reading.kind == BARS else (first[3], first[1])
    for index, row in enumerate(reading.rows):
        high, low = row[top], row[bottom]
        jumps_up = high >= SPIKE_FACTOR * top_sat
        if jumps_up or SPIKE_FACTOR * low <= bottom_sat or low >= SPIKE_FACTOR * bottom_sat:
            price, before = (high, top_sat) if jumps_up else (low, bottom_sat)
            line = reading.lines[index]
            reading.spikes.append(Spike(line, row[0], before, price))
            if not reading.spikes_accepted:
                reading.refuse(
                    line,
                    f"price {price} sat is suspicious after {before} sat: a jump by {SPIKE_FACTOR} times or more",
                    "mend the row, or state # accept-spikes: true",
                )
                continue
        top_sat, bottom_sat = row[after_top], row[after_bottom]


def _dear(reading: Reading, max_price_sat: int) -> None:
    """Refuse every row whose highest price, a bar's high or a quote's ask, is above what the contract believes."""
    dear = ((line, row[3]) for line, row in zip(reading.lines, reading.rows, strict=True) if row[3] > max_price_sat)
    for line, price_sat in dear:
        price, most = (Decimal(sat).scaleb(-8) for sat in (price_sat, max_price_sat))
        what = f"price {price:f} BTC is above the contract's max_price, {most:f} BTC"
        reading.refuse(line, what, "mend the row, or raise trading.max_price in the contract")
