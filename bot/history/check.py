"""Check a history file and say everything about it, good and bad, without refusing to look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bot.core.contract import Contract
from bot.core.units import NS_PER_S, SAT_PER_BTC
from bot.errors import Problem
from bot.history.fields import iso_utc
from bot.history.reading import ANY_PRICE, Spike, read
from bot.history.series import RATES, Gap

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a history file holds.

    Times are nanoseconds, 0 where there are no rows. `problems` are those that make loading refuse the file:
    the first 20, then one that counts the rest; `refused` is how many there are. `interval_stated` tells
    whether the file or the most common spacing gave `interval_ns`.
    """

    path: str
    kind: str
    sha256: str
    simulated: bool
    rows: int
    first_ns: int
    last_ns: int
    interval_ns: int
    interval_stated: bool
    after_expiry: int
    notes: tuple[str, ...]
    duplicates: int
    gaps: tuple[Gap, ...]
    spikes: tuple[Spike, ...]
    problems: tuple[Problem, ...]
    refused: int

    @property
    def ok(self) -> bool:
        """Return whether the file would load."""
        return not self.problems

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain values for JSON; times as ISO 8601 text, prices in satoshi."""
        return {
            "path": self.path,
            "kind": self.kind,
            "ok": self.ok,
            "sha256": self.sha256,
            "simulated": self.simulated,
            "rows": self.rows,
            "first": iso_utc(self.first_ns) if self.rows else None,
            "last": iso_utc(self.last_ns) if self.rows else None,
            "interval_s": self.interval_ns / NS_PER_S,
            "interval_stated": self.interval_stated,
            "rows_at_or_after_expiry": self.after_expiry,
            "duplicates": self.duplicates,
            "notes": list(self.notes),
            "gaps": [
                {"from": iso_utc(gap.from_ns), "to": iso_utc(gap.to_ns), "missing": gap.missing} for gap in self.gaps
            ],
            "spikes": [
                {
                    "line": spike.line,
                    "time": iso_utc(spike.time_ns),
                    "before_sat": spike.before_sat,
                    "price_sat": spike.price_sat,
                }
                for spike in self.spikes
            ],
            "problems": [
                {"where": problem.where, "what": problem.what, "remedy": problem.remedy} for problem in self.problems
            ],
            "problem_count": self.refused,
        }

    def to_text(self) -> str:
        """Return the report as lines for a person; long lists are cut at 10 with a count of the rest."""
        mark = ", SIMULATED prices" if self.simulated and self.kind != RATES else ", SIMULATED"
        lines = [f"{self.path}: {self.kind or 'unknown kind'}{mark if self.simulated else ''}"]
        if self.rows:
            lines.append(f"  rows      {self.rows}, {iso_utc(self.first_ns)} to {iso_utc(self.last_ns)}")
        if self.interval_ns:
            origin = "stated in the file" if self.interval_stated else "the most common spacing"
            lines.append(f"  interval  {self.interval_ns / NS_PER_S:g} s ({origin})")
        if self.sha256:
            lines.append(f"  sha256    {self.sha256}")
        if self.after_expiry:
            lines.append(f"  note      {self.after_expiry} rows at or after expiry, where nothing can trade")
        lines += [f"  note      {note}" for note in self.notes]
        lines += _cut(
            [
                f"  gap       {iso_utc(gap.from_ns)} to {iso_utc(gap.to_ns)}, {gap.missing} rows missing"
                for gap in self.gaps
            ],
            "gaps",
        )
        lines += _cut(
            [
                f"  spike     line {spike.line}: {spike.price_sat / SAT_PER_BTC:.8f} BTC"
                f" after {spike.before_sat / SAT_PER_BTC:.8f} BTC"
                for spike in self.spikes
            ],
            "spikes",
        )
        lines += [f"  problem   {problem}" for problem in self.problems]
        lines.append("ok" if self.ok else f"refused: {self.refused} problem{'s' * (self.refused != 1)}")
        return "\n".join(lines)


def check(path: str | Path, contract: Contract, max_price_sat: int = ANY_PRICE) -> CheckReport:
    """Return what `path` holds as bars, quotes or swap rates of `contract`; faults are reported, not raised."""
    reading = read(path, contract, max_price_sat=max_price_sat)
    rows = reading.rows
    return CheckReport(
        path=reading.path,
        kind=reading.kind,
        sha256=reading.sha256,
        simulated=reading.simulated,
        rows=len(rows),
        first_ns=rows[0][0] if rows else 0,
        last_ns=rows[-1][0] if rows else 0,
        interval_ns=reading.interval_ns,
        interval_stated=reading.interval_stated,
        after_expiry=sum(row[0] >= contract.end_ns for row in rows),
        notes=reading.notes(),
        duplicates=reading.duplicates,
        gaps=tuple(reading.gaps),
        spikes=tuple(reading.spikes),
        problems=tuple(reading.problems()),
        refused=reading.refused,
    )


def _cut(lines: list[str], noun: str) -> list[str]:
    if len(lines) <= _SHOWN:
        return lines
    return [*lines[:_SHOWN], f"  and {len(lines) - _SHOWN} {noun} more"]
