"""Makes the bundled figures from raw headers and tables; the same sources give the same bytes.

Everything is verified before the first byte is written: headers in full (`bot.chain.headers`), epochs
against the headers they span, fees against the number of blocks of each day.
"""

from __future__ import annotations

import hashlib
import shlex
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from errno import EISDIR
from itertools import accumulate
from pathlib import Path
from typing import Final

from bot.chain import ondisk
from bot.chain.headers import Headers
from bot.chain.headers import verify as verify_headers
from bot.chain.ondisk import BlockTimes, Epoch, FeeDay, Source, day_number, day_text, refuse
from bot.chain.sources import epochs_from_csv, fees_from_csv
from bot.chain.verify import VerifyReport, verify_contents
from bot.core.units import S_PER_DAY

FIRST_DAY: Final = date(2014, 8, 1)
LAST_DAY: Final = date(2014, 12, 31)


def make(
    headers: Path,
    first_height: int,
    epochs_csv: Path,
    fees_csv: Path | None,
    out: Path,
    first_day: date = FIRST_DAY,
    last_day: date = LAST_DAY,
) -> VerifyReport:
    """Write the figures of the UTC days `first_day` to `last_day`, both included, into `out`; return their report.

    `headers` holds raw headers, the first at `first_height`; it must reach at least one block beyond either
    side of the days. `fees_csv` None makes figures without fees. `out` is created; its figures are replaced.
    Raises ChainError for anything in the sources or the figures that fails verification; then nothing is written.
    """
    contents: dict[Path, bytes] = {
        path: ondisk.read_regular(path, "name a readable file") for path in (headers, epochs_csv, fees_csv) if path
    }
    verified = verify_headers(contents[headers], first_height, str(headers))
    epochs = epochs_from_csv(contents[epochs_csv], str(epochs_csv))
    _agree(verified, epochs, str(epochs_csv))
    times = cut(verified, day_number(first_day) * S_PER_DAY, (day_number(last_day) + 1) * S_PER_DAY)
    fees: tuple[FeeDay, ...] = ()
    if fees_csv:
        every = fees_from_csv(contents[fees_csv], str(fees_csv))
        fees = tuple(f for f in every if day_number(first_day) <= f.day <= day_number(last_day))
        _count(times, fees, str(fees_csv))
    origin = [Source(path.name, _sha256(raw)) for path, raw in contents.items()]
    command = _command(headers, first_height, epochs_csv, fees_csv, first_day, last_day)
    figures = {
        ondisk.BLOCKS: ondisk.render_blocks(times),
        ondisk.EPOCHS: ondisk.render_epochs(epochs),
        ondisk.FEES: ondisk.render_fees(fees),
        ondisk.PROVENANCE: _provenance(verified, times, epochs, fees, origin, command),
    }
    report = verify_contents(figures, tuple(Source(name, _sha256(raw)) for name, raw in figures.items()), out)
    write(out, {**figures, ondisk.SUMS: ondisk.render_sums(figures)})
    return report


def cut(headers: Headers, from_s: int, to_s: int) -> BlockTimes:
    """Return the blocks of `headers` whose effective time lies in [from_s, to_s), seconds UTC.

    The running maximum starts at the first header of the file. A block before it with a later time would have
    to be stamped in the future of everything since, so a file that begins a day earlier is early enough.
    Raises ChainError unless blocks on both sides show that none is missing.
    """
    effective_s = list(accumulate(headers.times_s, max))
    first, end = bisect_left(effective_s, from_s), bisect_left(effective_s, to_s)
    if first == 0 or end == len(effective_s) or first == end:
        what = f"effective times run from {effective_s[0]} to {effective_s[-1]} s and do not enclose"
        raise refuse(headers.name, f"{what} {from_s} to {to_s} s", "give more headers or fewer days")
    return BlockTimes(
        from_s=from_s,
        to_s=to_s,
        before_s=effective_s[first - 1],
        first_height=headers.first_height + first,
        times_s=list(headers.times_s[first:end]),
        bits=list(headers.bits[first:end]),
    )


def _agree(headers: Headers, epochs: Iterable[Epoch], name: str) -> None:
    """Raise ChainError unless every epoch that starts in `headers` has that header's time and bits."""
    found = 0
    for line, epoch in enumerate(epochs, 2):
        index = epoch.first_height - headers.first_height
        if not 0 <= index < len(headers.times_s):
            continue
        found += 1
        own = (headers.times_s[index], headers.bits[index])
        if (epoch.start_s, epoch.bits) != own or not epoch.time_is_exact:
            what = f"epoch {epoch.number}: time {epoch.start_s}, bits {epoch.bits:#010x}, exact {epoch.time_is_exact}"
            remedy = "table and headers are of different chains, or the first height is wrong"
            raise refuse(f"{name}:{line}", f"{what}; its header says {own[0]}, {own[1]:#010x}", remedy)
    if not found:
        raise refuse(name, "no epoch of the table starts within the headers", "give the table of the same chain")


def _count(times: BlockTimes, fees: Iterable[FeeDay], name: str) -> None:
    """Raise ChainError unless each day's fees were counted over as many blocks as the range holds."""
    counts = Counter(time_s // S_PER_DAY for time_s in times.times_s)  # floor: the UTC day
    for fee in fees:
        if counts[fee.day] != fee.blocks:
            what = f"{day_text(fee.day)}: fees of {fee.blocks} blocks, but the headers in the range count"
            remedy = "table and headers are of different chains, or a day is cut by the range: choose other days"
            raise refuse(name, f"{what} {counts[fee.day]}", remedy)


def _command(
    headers: Path, first_height: int, epochs_csv: Path, fees_csv: Path | None, first_day: date, last_day: date
) -> str:
    """Return the command that remakes the figures, with file names only: folders differ from user to user."""
    words = ["fairhash", "chain", "import", headers.name, "--first-height", str(first_height)]
    words += ["--epochs", epochs_csv.name]
    if fees_csv:
        words += ["--fees", fees_csv.name]
    if (first_day, last_day) != (FIRST_DAY, LAST_DAY):
        words += ["--from", first_day.isoformat(), "--to", last_day.isoformat()]
    return shlex.join([*words, "--out", "DIR"])


def _provenance(
    headers: Headers,
    times: BlockTimes,
    epochs: tuple[Epoch, ...],
    fees: tuple[FeeDay, ...],
    origin: Iterable[Source],
    command: str,
) -> bytes:
    """Return the text of PROVENANCE.txt; it depends on the sources alone, not on when or where it was made."""
    last = headers.first_height + len(headers.times_s) - 1
    end = times.first_height + len(times.times_s) - 1
    derived = sum(not epoch.time_is_exact for epoch in epochs)
    from_day, last_day = day_text(times.from_s // S_PER_DAY), day_text(times.to_s // S_PER_DAY - 1)  # whole days
    lines = [
        "Figures of the Bitcoin block chain: facts, in a form of our own making (bot/chain/ondisk.py describes it).",
        "",
        f"blocks.txt  heights {times.first_height}..{end}, {len(times.times_s)} blocks, {from_day}..{last_day} UTC",
        f"epochs.csv  epochs {epochs[0].number}..{epochs[-1].number}, of which {derived} with a derived start time",
        f"fees.csv    {len(fees)} days" + (f", {day_text(fees[0].day)}..{day_text(fees[-1].day)} UTC" if fees else ""),
        "",
        f"Made from headers {headers.first_height}..{last}, all verified: proof of work, links, median time, bits,",
        f"{headers.retargets_verified} retargets. Hash of the first and of the last header:",
        f"  {headers.first_hash}",
        f"  {headers.last_hash}",
        "",
        "Source files (sha256, name):",
        *(f"  {source.sha256}  {source.name}" for source in origin),
        "",
        "Remake, byte for byte:",
        f"  {command}",
    ]
    return ("\n".join(lines) + "\n").encode("ascii")


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def write(out: Path, contents: dict[str, bytes]) -> None:
    """Write the figures beside those that are there, then rename them, the digests last.

    A full disk leaves the old figures as they were; an import interrupted among the renames fails its digests instead
    of passing for whole. Raises ChainError.
    """
    new = {out / name: out / f".{name}.new" for name in contents}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for (path, place), raw in zip(new.items(), contents.values(), strict=True):
            if path.is_dir():
                raise IsADirectoryError(EISDIR, "a directory is in the way", str(path))
            place.write_bytes(raw)
        (out / ondisk.SUMS).unlink(missing_ok=True)
        for path, place in new.items():
            place.replace(path)
    except OSError as error:
        for place in new.values():
            with suppress(OSError):
                place.unlink()
        raise refuse(str(out), f"cannot be written: {error.strerror}", "name a folder that can be written") from error
