"""The files of a run and the summary table: the same bytes for the same run, whole or not there at all.

A run directory holds, for each strategy, `<strategy>/fills.csv`, `postings.csv` and `equity.csv`, and
`summary.json`, which names every other file with its size and SHA-256, so that a damaged run shows.
Money is in satoshi, positions in lots, times in UTC (ISO 8601) and in nanoseconds since 1970.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from backtests.attribution import PARTS, Attribution
from backtests.metrics import Metrics
from backtests.result import RunResult
from bot.core.units import SAT_PER_BTC
from bot.errors import OutputError, Problem
from bot.history.fields import iso_utc

SIMULATED: Final = "SIMULATED PRICES"
SUMMARY: Final = "summary.json"
FORMAT: Final = "fairhash run 1"


def btc_text(amount_sat: int, plus: bool = False) -> str:
    """Return satoshi as BTC with all 8 decimals; `plus` marks gains with a sign.

    >>> btc_text(-150_000_000), btc_text(1, plus=True)
    ('-1.50000000', '+0.00000001')
    """
    whole, rest = divmod(abs(amount_sat), SAT_PER_BTC)  # rounded down, the rest is printed
    sign = "-" if amount_sat < 0 else "+" if plus and amount_sat > 0 else ""
    return f"{sign}{whole}.{rest:08d}"


_time = lru_cache(maxsize=256)(iso_utc)  # rows of one event follow each other


@lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    """Return `text` as one CSV cell (RFC 4180)."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def _csv(title: str, header: str, rows: Iterable[str], simulated: bool) -> bytes:
    mark = SIMULATED if simulated else "recorded prices"
    lines = [f"# {json.dumps(title)}; {mark}; {FORMAT}", header, *rows, ""]
    return "\n".join(lines).encode()


def fills_csv(result: RunResult, simulated: bool) -> bytes:
    """Return the strategy's fills, one a line, in the order in which they happened."""
    header = "time_utc,time_ns,order_id,wallet,size_lots,price_sat,fee_sat,mark_sat,liquidity"
    rows = (
        f"{_time(fill.time_ns)},{fill.time_ns},{fill.order_id},{_quoted(fill.wallet)},{fill.size_lots},"
        f"{fill.price_sat},{fill.fee_sat},{fill.mark_sat},{'maker' if fill.maker else 'taker'}"
        for fill in result.fills
        if fill.user == result.user
    )
    return _csv(f"{result.name}: fills", header, rows, simulated)


def postings_csv(result: RunResult, simulated: bool) -> bytes:
    """Return the whole ledger of the run, counterparties included: it sums to zero per asset and transaction."""
    header = "time_utc,time_ns,transaction,kind,account,amount_sat_or_lots"
    rows = (
        f"{_time(time_ns)},{time_ns},{transaction},{kind},{_quoted(account)},{amount}"
        for transaction, time_ns, kind, account, amount in result.postings
    )
    return _csv(f"{result.name}: postings", header, rows, simulated)


def equity_csv(result: RunResult, simulated: bool) -> bytes:
    """Return mark, position and equity at every market event."""
    header = "time_utc,time_ns,price_sat,position_lots,equity_sat"
    rows = (
        f"{_time(time_ns)},{time_ns},{price_sat},{position_lots},{equity_sat}"
        for time_ns, price_sat, position_lots, equity_sat in result.marks
    )
    return _csv(f"{result.name}: equity", header, rows, simulated)


def directory_names(names: Sequence[str]) -> list[str]:
    """Return a file name for each strategy: its name where that is safe, made unique without regard to case.

    >>> directory_names(["fair value", "../x", "Fair-Value"])
    ['fair-value', 'x', 'Fair-Value-2']
    """
    taken: Counter[str] = Counter()
    result = []
    for name in names:
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:60] or "strategy"
        taken[slug.lower()] += 1
        while (count := taken[slug.lower()]) > 1:
            slug = f"{slug}-{count}"
            taken[slug.lower()] += 1
        result.append(slug)
    return result


def summary(
    results: Sequence[RunResult],
    attributions: Sequence[Attribution],
    metrics: Sequence[Metrics],
    simulated: bool,
    reproduce: Mapping[str, str],
) -> dict[str, Any]:
    """Return what `summary.json` holds, without its list of files: per strategy the profit by part and measures."""
    strategies = []
    for result, attribution, measures in zip(results, attributions, metrics, strict=True):
        split = {f"{part}_sat": amount for part, amount in zip(PARTS, attribution.split, strict=True)}
        strategies.append(
            {
                "name": result.name,
                "engine": result.engine,
                "contract": result.contract.id,
                "start_utc": iso_utc(result.start_ns),
                "end_utc": iso_utc(result.end_ns),
                "start_equity_sat": attribution.start_equity_sat,
                "final_equity_sat": attribution.final_equity_sat,
                "other_flows_sat": sum(flow.amount_sat for flow in attribution.other_flows),
                "net_sat": attribution.split.total_sat,
                "profit": split,
                "metrics": asdict(measures),
                "fills": sum(fill.user == result.user for fill in result.fills),
                "notices": dict(sorted(Counter(notice.kind for notice in result.notices).items())),
            }
        )
    return {
        "format": FORMAT,
        "simulated_prices": simulated,
        "reproduce": dict(reproduce),
        "strategies": strategies,
    }


def summary_bytes(content: Mapping[str, Any]) -> bytes:
    """Return a summary as JSON: sorted keys, no NaN, the same bytes for the same run."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    # A file name that is not UTF-8 reads as surrogates, which become JSON escapes.
    return (text + "\n").encode("utf-8", "backslashreplace")


def write_run(
    directory: Path,
    results: Sequence[RunResult],
    attributions: Sequence[Attribution],
    metrics: Sequence[Metrics],
    *,
    simulated: bool,
    reproduce: Mapping[str, str],
    files: Mapping[str, bytes] | None = None,
    replace: bool = False,
) -> Path:
    """Write a run to `directory` and return it; `files` (name to bytes) are written beside the tables.

    All is written to a directory beside it, which is then renamed: a reader sees a whole run or none. A run
    that is there already with the same bytes is left alone; another is refused unless `replace`, and what is
    not a run of ours is never replaced. Raises OutputError with the path and the remedy.
    """
    names = directory_names([result.name for result in results])
    whole = dict(files or {})
    for name, result in zip(names, results, strict=True):
        whole[f"{name}/fills.csv"] = fills_csv(result, simulated)
        whole[f"{name}/postings.csv"] = postings_csv(result, simulated)
        whole[f"{name}/equity.csv"] = equity_csv(result, simulated)
    content = summary(results, attributions, metrics, simulated, reproduce)
    content["files"] = {
        name: {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()} for name, body in whole.items()
    }
    for entry, name in zip(content["strategies"], names, strict=True):
        entry["directory"] = name
    whole[SUMMARY] = summary_bytes(content)
    return write_whole(directory, whole, replace)


def write_whole(directory: Path, whole: Mapping[str, bytes], replace: bool) -> Path:
    """Write files, a summary of ours among them, to `directory` as `write_run` promises, and return it."""
    try:
        refuse_place(directory)
        if (directory / SUMMARY).exists():
            _refuse_other(directory, whole[SUMMARY], replace)
            if (directory / SUMMARY).read_bytes() == whole[SUMMARY] and _is_whole(directory, whole):
                return directory
        _write_and_rename(directory, whole)
    except OSError as error:
        what = f"cannot write the run: {error.strerror or error}"
        remedy = "nothing was left behind; free space or choose another place with --out"
        raise OutputError([Problem(str(directory), what, remedy)]) from error
    return directory


def _is_whole(directory: Path, whole: Mapping[str, bytes]) -> bool:
    return all((directory / name).is_file() and (directory / name).read_bytes() == body for name, body in whole.items())


def refuse_place(directory: Path) -> None:
    """Raise OutputError if `directory` is there and is neither empty nor a run of ours; cheap, so ask before a run."""
    try:
        if not directory.exists() and not directory.is_symlink():
            return
        path = directory / SUMMARY
        if directory.is_dir() and not directory.is_symlink():
            if path.is_file() and f'"format": "{FORMAT}"'.encode() in path.read_bytes():
                return
            if next(directory.iterdir(), None) is None:
                return
    except OSError as error:
        what = f"cannot be looked at: {error.strerror or error}"
        raise OutputError([Problem(str(directory), what, "choose another place with --out")]) from error
    what = "exists, is not empty and is not a run of fairhash"
    raise OutputError([Problem(str(directory), what, "choose another place with --out")])


def _refuse_other(directory: Path, new_summary: bytes, replace: bool) -> None:
    """Refuse to write over another run unless it may be replaced."""
    if not replace and (directory / SUMMARY).read_bytes() != new_summary:
        remedy = "remove it or choose another place with --out"
        raise OutputError([Problem(str(directory), "holds another run", remedy)])


def _write_and_rename(directory: Path, whole: Mapping[str, bytes]) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        fresh = scratch / "new"
        for name, body in whole.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        if directory.exists():
            directory.rename(scratch / "old")  # a kill -9 here leaves the old run whole in the scratch directory
        fresh.rename(directory)
    except BaseException:  # also an interrupt: the old run must not go with the scratch directory
        if (scratch / "old").exists() and not directory.exists():
            (scratch / "old").rename(directory)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)  # what cannot be removed is hidden and no run


def notice_lines(results: Sequence[RunResult]) -> list[str]:
    """Return a line for each strategy to which something happened that its numbers alone do not show.

    Of each kind the count: what the venue refused, cancelled or did by force, and gaps of the market.
    """
    lines = []
    for result in results:
        counts = sorted(Counter(notice.kind for notice in result.notices).items())
        if counts:
            lines.append(f"{result.name}: " + ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts))
    return ["Notices (--log shows each):", *lines] if lines else []


_COLUMNS: Final = ("net", "price", "dividends", "swap", "lending", "fees", "slippage", "expiry")


def summary_table(attributions: Sequence[Attribution], metrics: Sequence[Metrics], simulated: bool) -> str:
    """Return the comparison of strategies as aligned text: BTC to the satoshi, one strategy a row.

    The parts sum to net. A column `deficit` appears when the venue had to absorb a loss.
    """
    parts = [*_COLUMNS[1:], *(["deficit"] if any(one.split.deficit_sat for one in attributions) else [])]
    rows = [["strategy", "net", *parts, "max drawdown", "Sharpe", "trades"]]
    for attribution, measures in zip(attributions, metrics, strict=True):
        split = attribution.split._asdict()
        fall = measures.drawdown
        depth = "-" if fall is None else btc_text(-fall.depth_sat)
        if fall is not None and fall.depth_frac is not None:
            depth += f" ({100 * fall.depth_frac:.1f} %)"
        ratio = "-" if measures.sharpe_year is None else f"{measures.sharpe_year:.2f}"
        amounts = [btc_text(attribution.split.total_sat, plus=True)]
        amounts += [btc_text(split[f"{part}_sat"], plus=True) for part in parts]
        name = "".join(letter if letter.isprintable() else "?" for letter in attribution.name)
        rows.append([name, *amounts, depth, ratio, str(measures.trades)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    samplings = sorted({f"{one.sampling}, {one.samples} samples" for one in metrics})
    lines.append(f"Amounts in BTC. Sharpe: annualised, risk-free rate 0, equity sampled {'; '.join(samplings)}.")
    return "\n".join([SIMULATED, *lines] if simulated else lines)
