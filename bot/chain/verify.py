"""Recomputes from the figures alone whatever they allow, and counts honestly what they do not.

The retarget rule times an epoch from its first to its last block. The figures hold every block of their
range, so each epoch that ends inside it can be recomputed exactly. For any other epoch only the start times of it
and of the next are known; the gap between its last block and the next start is not. Such a pair is called
*consistent* when some gap within `GAP_LIMIT_S` makes the rule give exactly the next bits. Where a start time
was itself derived from the bits that would prove nothing, and only compact form and clamp are checked.
At the clamp or at the easiest target many timespans give the same bits: such pairs are counted apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

from bot.chain import ondisk
from bot.chain.chain import BUNDLED, build
from bot.chain.difficulty import (
    BLOCKS_PER_EPOCH,
    MAX_TARGET,
    MAX_TIMESPAN_S,
    MIN_TIMESPAN_S,
    bits_from_target,
    is_canonical,
    next_target,
)
from bot.chain.headers import MAX_PROBLEMS, MEDIAN_SPAN
from bot.chain.ondisk import BlockTimes, Epoch, FeeDay, Source
from bot.errors import ChainError, Problem

GAP_LIMIT_S: Final = 7200
"""How far apart two neighbouring blocks' header times are believed to be, either way, where it is not known.

Two hours: nodes refuse a header further ahead of their clock (MAX_FUTURE_BLOCK_TIME), and a longer wait for one
block has a chance of e^-12. Over the 420 unclamped pairs with exact times the gap runs from -1,128 to 4,817 s.
"""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was verified, in counts; it exists only if nothing failed.

    `retargets` = `retargets_exact` + `retargets_consistent` + `retargets_at_limit` + `retargets_form_only`.
    """

    directory: str
    blocks: int
    first_height: int
    last_height: int
    median_times: int
    epochs: int
    epochs_matching_blocks: int
    retargets: int
    retargets_exact: int
    retargets_consistent: int
    retargets_at_limit: int
    retargets_form_only: int
    fee_days: int
    sources: tuple[Source, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain values, ready for JSON."""
        return {**asdict(self), "sources": {source.name: source.sha256 for source in self.sources}}

    def to_text(self) -> str:
        """Return the report as lines for a person."""
        untimed = self.blocks - self.median_times
        rows = [
            f"{self.directory}: figures verified",
            f"  {len(self.sources)} files equal their sha256 and are in canonical form",
            f"  {self.blocks} blocks, heights {self.first_height}..{self.last_height}: bits as their epoch says;",
            f"    {self.median_times} header times above the median of the {MEDIAN_SPAN} before"
            f" ({untimed} at the start have no such eleven)",
            f"  {self.epochs} epochs, {self.epochs_matching_blocks} of them equal to their first block",
            f"  {self.retargets} retargets:",
            f"    {self.retargets_exact} recomputed exactly from the times of first and last block",
            f"    {self.retargets_consistent} consistent with exact start times"
            f" (last block's time not in the figures, gap within {GAP_LIMIT_S} s)",
            f"    {self.retargets_at_limit} the same, at the clamp or the easiest target, where many timespans fit",
            f"    {self.retargets_form_only} checked for compact form and clamp only (a start time is derived)",
            f"  {self.fee_days} days of fees, each over as many blocks as the day has",
            "  not verified here: proof of work and links of the headers (done at import), the amounts of fees",
        ]
        return "\n".join(rows)


def verify(directory: Path | None = None) -> VerifyReport:
    """Return the report on the figures in `directory`; None takes the bundled ones.

    Raises ChainError with up to 20 problems, each with its file, when anything fails.
    """
    directory = BUNDLED if directory is None else directory
    contents, sources = ondisk.read_checked(directory)
    return verify_contents(contents, sources, directory)


def verify_contents(contents: dict[str, bytes], sources: tuple[Source, ...], directory: Path) -> VerifyReport:
    """Return the report on the files' `contents` by name, whose digests are `sources`; see `verify`."""
    names = {name: str(directory / name) for name in contents}
    times = ondisk.parse_blocks(contents[ondisk.BLOCKS], names[ondisk.BLOCKS])
    epochs = ondisk.parse_epochs(contents[ondisk.EPOCHS], names[ondisk.EPOCHS])
    fees = ondisk.parse_fees(contents[ondisk.FEES], names[ondisk.FEES])
    problems = _form_problems(contents, names, times, epochs, fees)
    problems += _epoch_problems(epochs, names[ondisk.EPOCHS])
    if problems:
        raise ChainError(problems[:MAX_PROBLEMS])  # what follows needs valid targets
    build(times, epochs, fees, sources, str(directory))  # raises where fees and blocks disagree
    kinds: Counter[str] = Counter()
    for before, after in pairwise(epochs):
        kind, found = _retarget(times, before, after, names[ondisk.EPOCHS])
        kinds[kind] += 1
        problems += found
    matching, found = _match_epochs(times, epochs, names[ondisk.EPOCHS])
    problems += found + _time_problems(times, names[ondisk.BLOCKS])
    if problems:
        raise ChainError(problems[:MAX_PROBLEMS])
    return VerifyReport(
        directory=str(directory),
        blocks=len(times.times_s),
        first_height=times.first_height,
        last_height=times.first_height + len(times.times_s) - 1,
        median_times=max(0, len(times.times_s) - MEDIAN_SPAN),
        epochs=len(epochs),
        epochs_matching_blocks=matching,
        retargets=kinds.total(),
        retargets_exact=kinds["exact"],
        retargets_consistent=kinds["consistent"],
        retargets_at_limit=kinds["limit"],
        retargets_form_only=kinds["form"],
        fee_days=len(fees),
        sources=sources,
    )


def _form_problems(
    contents: dict[str, bytes],
    names: dict[str, str],
    times: BlockTimes,
    epochs: tuple[Epoch, ...],
    fees: tuple[FeeDay, ...],
) -> list[Problem]:
    """Return a problem for each file that says its figures in other bytes than we would write."""
    written = {
        ondisk.BLOCKS: ondisk.render_blocks(times),
        ondisk.EPOCHS: ondisk.render_epochs(epochs),
        ondisk.FEES: ondisk.render_fees(fees),
    }
    result: list[Problem] = []
    for name, raw in written.items():
        if raw != contents[name]:
            pairs = zip(raw.split(b"\n"), contents[name].split(b"\n"), strict=False)  # the shorter ends the search
            line = next((number for number, (own, given) in enumerate(pairs, 1) if own != given), 0)
            result.append(Problem(f"{names[name]}:{line}", "is not in canonical form", ondisk.REMAKE))
    return result


def _epoch_problems(epochs: tuple[Epoch, ...], where: str) -> list[Problem]:
    """Return what is wrong with epochs one by one: height, compact form, limit."""
    result: list[Problem] = []
    for line, epoch in enumerate(epochs, 2):
        if epoch.first_height != BLOCKS_PER_EPOCH * epoch.number:
            what = f"epoch {epoch.number} starts at height {epoch.first_height}"
            result.append(Problem(f"{where}:{line}", f"{what}, not at {BLOCKS_PER_EPOCH} x its number", ondisk.REMAKE))
        try:
            if not is_canonical(epoch.bits) or epoch.target > MAX_TARGET:
                what = f"bits {epoch.bits:#010x} are not in compact form"
                result.append(Problem(f"{where}:{line}", what, ondisk.REMAKE))
        except ChainError as error:
            result += [Problem(f"{where}:{line}", problem.what, ondisk.REMAKE) for problem in error.problems]
    return result


def _retarget(times: BlockTimes, before: Epoch, after: Epoch, where: str) -> tuple[str, list[Problem]]:
    """Return how the retarget between two epochs could be checked (a field of `VerifyReport`), and problems."""
    last = after.first_height - 1 - times.first_height
    at = f"{where}: epoch {after.number}"
    if before.time_is_exact and 0 <= last < len(times.times_s):
        due = bits_from_target(next_target(before.target, before.start_s, times.times_s[last]))
        if due == after.bits:
            return "exact", []
        what = f"bits {after.bits:#010x} are not the {due:#010x} that the retarget rule gives"
        return "exact", [Problem(at, what, ondisk.REMAKE)]
    if before.time_is_exact and after.time_is_exact:
        span_s = after.start_s - before.start_s
        possible = range(span_s - GAP_LIMIT_S, span_s + GAP_LIMIT_S + 1)
        extremes = [next_target(before.target, 0, timespan_s) for timespan_s in (MIN_TIMESPAN_S, MAX_TIMESPAN_S)]
        kind = "limit" if after.target in (*extremes, MAX_TARGET) else "consistent"
        what = f"no gap within {GAP_LIMIT_S} s after {span_s} s gives bits {after.bits:#010x}"
    else:
        possible = range(MIN_TIMESPAN_S, MAX_TIMESPAN_S + 1)
        kind, what = "form", f"bits {after.bits:#010x} are beyond the clamp from {before.bits:#010x}"
    fits = _some_timespan_gives(before.target, after.target, possible)
    return kind, [] if fits else [Problem(at, what, ondisk.REMAKE)]


def _some_timespan_gives(previous: int, wanted: int, possible_s: range) -> bool:
    """Return whether the retarget rule turns `previous` into `wanted` for a timespan in `possible_s`.

    The rule is monotone in the timespan, so the first one that reaches `wanted` decides.
    """

    def reached(timespan_s: int) -> int:
        return next_target(previous, 0, timespan_s)

    index = bisect_left(possible_s, wanted, key=reached)
    return index < len(possible_s) and reached(possible_s[index]) == wanted


def _match_epochs(times: BlockTimes, epochs: tuple[Epoch, ...], where: str) -> tuple[int, list[Problem]]:
    """Return how many epochs start inside the blocks, and where blocks and epochs disagree in time or bits."""
    result: list[Problem] = []
    matching, end = 0, times.first_height + len(times.times_s)
    if not (epochs and epochs[0].first_height <= times.first_height):
        result.append(Problem(where, f"no epoch holds the first block {times.first_height}", ondisk.REMAKE))
    if epochs and end > epochs[-1].first_height + BLOCKS_PER_EPOCH:
        result.append(Problem(where, f"no epoch holds the last block {end - 1}", ondisk.REMAKE))
    for line, epoch in enumerate(epochs, 2):
        first = epoch.first_height - times.first_height
        own_bits = times.bits[max(first, 0) : max(first + BLOCKS_PER_EPOCH, 0)]
        if any(bits != epoch.bits for bits in own_bits):
            what = f"epoch {epoch.number} has bits {epoch.bits:#010x}, its blocks {sorted(set(own_bits))}"
            result.append(Problem(f"{where}:{line}", what, ondisk.REMAKE))
        if 0 <= first < len(times.times_s):
            matching += 1
            if epoch.start_s != times.times_s[first] or not epoch.time_is_exact:
                what = f"epoch {epoch.number} starts at {epoch.start_s} s, its first block at {times.times_s[first]} s"
                result.append(Problem(f"{where}:{line}", what, ondisk.REMAKE))
    return matching, result


def _time_problems(times: BlockTimes, where: str) -> list[Problem]:
    """Return where header times break the median rule."""
    own, first = times.times_s, times.first_height
    wrong = (
        Problem(f"{where}: height {first + i}", f"time {own[i]} s is not above the median of those before")
        for i in range(MEDIAN_SPAN, len(own))
        if own[i] <= sorted(own[i - MEDIAN_SPAN : i])[MEDIAN_SPAN // 2]
    )
    return list(islice(wrong, MAX_PROBLEMS))
