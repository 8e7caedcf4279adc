"""A changed future written as the run's own input files, so that whoever reads them reads it too.

A strategy may hold more than its view: the history loaded when its module is imported, a file read at every decision.
Rows changed in memory would not reach it. Comments of a history file are kept to what its meaning needs.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from backtests.bias.future import DIFFICULTY, Change, other_bits, other_blocks, other_history, other_terms
from bot.chain import ondisk
from bot.chain.chain import Chain
from bot.chain.difficulty import BLOCKS_PER_EPOCH
from bot.core.contract import Contract
from bot.core.units import NS_PER_S, S_PER_DAY
from bot.fields import Mapping, Node, Ppm, Scalar, Sequence
from bot.history.series import QUOTES, RATES, History, Source
from bot.history.write import bars_csv, quotes_csv, rates_csv


def history_files(history: History, contract: Contract, change: Change) -> dict[str, bytes]:
    """Return the content of every history file, by the path that it was read from, with another future."""
    other = other_history(history, change, contract.tick_sat)
    market, *rates = history.sources
    comments = _comments(market)
    text = (
        quotes_csv(other.quotes, contract, comments)
        if market.kind == QUOTES
        else bars_csv(other.bars, contract, comments)
    )
    files = {market.path: _stored(market.path, text)}
    for source in rates:
        files[source.path] = _stored(source.path, rates_csv(other.rates, contract, _comments(source)))
    return files


def _comments(source: Source) -> dict[str, str]:
    comments = {"simulated": "true"} if source.simulated else {}
    if source.kind == RATES:
        return comments
    if source.interval_ns and source.interval_ns % NS_PER_S == 0:
        comments["interval"] = f"{source.interval_ns // NS_PER_S} s"  # exact
    return {**comments, "accept-spikes": "true"}


def _stored(path: str, text: str) -> bytes:
    """Return CSV text in the form that the suffix of `path` promises."""
    if path.endswith(".parquet"):
        from bot.history.parquet import parquet_of_csv

        return parquet_of_csv(text)
    raw = text.encode("ascii")
    return gzip.compress(raw, mtime=0) if path.endswith(".gz") else raw


def chain_files(chain: Chain, change: Change) -> dict[str, bytes]:
    """Return the content of the chain's figures by file name, digests included, with another future."""
    blocks = other_blocks(chain.blocks, change)
    before_s = chain.blocks[0].time_ns // NS_PER_S - chain.blocks[0].interval_s  # exact: whole seconds
    times = ondisk.BlockTimes(
        chain.from_ns // NS_PER_S,
        chain.to_ns // NS_PER_S,
        before_s,
        blocks[0].height,
        [block.header_time_s for block in blocks],
        [block.bits for block in blocks],
    )
    firsts = {block.height: block for block in blocks if block.height % BLOCKS_PER_EPOCH == 0}
    epochs = []
    for epoch in chain.epochs:
        first = firsts.get(epoch.first_height)
        if first is not None:
            epoch = epoch._replace(bits=first.bits, start_s=first.header_time_s)
        elif DIFFICULTY in change.kinds and epoch.start_s * NS_PER_S > change.cut_ns:
            epoch = epoch._replace(bits=other_bits(epoch.bits, change.rises))
        epochs.append(epoch)
    days: dict[int, list[int]] = defaultdict(list)
    for block in blocks:
        day = block.header_time_s // S_PER_DAY  # rounded down: the UTC day
        if chain.fees_from_ns <= block.header_time_s * NS_PER_S < chain.fees_to_ns:
            days[day].append(block.fees_sat)
    fees = [ondisk.FeeDay(day, len(own), sum(own)) for day, own in sorted(days.items())]
    figures = {
        ondisk.BLOCKS: ondisk.render_blocks(times),
        ondisk.EPOCHS: ondisk.render_epochs(epochs),
        ondisk.FEES: ondisk.render_fees(fees),
        ondisk.PROVENANCE: b"",
    }
    return {**figures, ondisk.SUMS: ondisk.render_sums(figures)}


def contract_file(root: Node, contract: Contract, change: Change) -> bytes:
    """Return the contract's document, read as `root`, with its later margin and collateral steps changed."""
    other = other_terms(contract, change)

    def margins(index: int) -> dict[str, str]:
        step = other.margin[index]
        return {"initial": Ppm().show(step.initial_ppm), "maintenance": Ppm().show(step.maintenance_ppm)}

    def flags(index: int) -> dict[str, str]:
        return {"contract_counts": str(other.collateral[index].contract_counts).lower()}

    document = _replaced(root, ("margin", "steps"), margins)
    document = _replaced(document, ("collateral",), flags)
    return ("\n".join(_yaml(document, 0)) + "\n").encode()


def _replaced(node: Node, path: tuple[str, ...], values: Callable[[int], dict[str, str]]) -> Node:
    """Return a tree in which entries of the list at `path` have the values that `values` gives for their index."""
    if not path:
        assert isinstance(node, Sequence)
        return Sequence(node.file, node.line, tuple(_with(item, values(at)) for at, item in enumerate(node.items)))
    assert isinstance(node, Mapping)
    entries = tuple((key, _replaced(at, path[1:], values) if key.text == path[0] else at) for key, at in node.entries)
    return Mapping(node.file, node.line, entries)


def _with(node: Node, texts: dict[str, str]) -> Node:
    assert isinstance(node, Mapping)
    entries = tuple(
        (key, Scalar(key.file, key.line, texts[key.text], quoted=False) if key.text in texts else at)
        for key, at in node.entries
    )
    return Mapping(node.file, node.line, entries)


def _yaml(node: Node, depth: int) -> Iterable[str]:
    """Yield the lines of a tree as YAML in block style; scalars are as they were written."""
    pad = "  " * depth
    if isinstance(node, Mapping):
        for key, value in node.entries:
            if isinstance(value, Scalar):
                yield f"{pad}{key.text}: {_scalar(value)}"
            else:
                yield f"{pad}{key.text}:"
                yield from _yaml(value, depth + 1)
    elif isinstance(node, Sequence):
        for item in node.items:
            lines = list(_yaml(item, depth + 1))
            yield f"{pad}- {lines[0].lstrip()}"
            yield from lines[1:]
    elif isinstance(node, Scalar):
        yield f"{pad}{_scalar(node)}"


def _scalar(scalar: Scalar) -> str:
    if not scalar.quoted:
        return scalar.text
    return "'" + scalar.text.replace("'", "''") + "'"


def write_files(directory: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Write each content under a name of its own in `directory`; return {original path: written path}."""
    led = {}
    for number, (path, content) in enumerate(sorted(files.items())):
        place = directory / f"{number:02d}-{Path(path).name}"
        place.write_bytes(content)
        led[path] = str(place)
    return led
