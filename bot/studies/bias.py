"""The bias check of a configuration: run it again in worlds whose future differs, and compare what was decided before.

Every world is a process of its own that reads the changed inputs from their usual paths (backtests.bias.redirect), so
that a strategy which looks at them itself is caught as well as one that finds a way past its view.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from backtests.bias import KINDS, Change, Decision, Moved, decisions_of, first_moved
from bot.chain import ondisk
from bot.config_settings import REFERENCE
from bot.errors import ConfigError, Problem, StrategyError
from bot.history.fields import iso_utc
from bot.run import Run, load_run, run_plan
from bot.studies.many_runs import chosen, in_processes


class World(NamedTuple):
    """What one process runs: inputs that are led elsewhere, strategies, and when it ends (None: as configured)."""

    config: Path
    led: dict[str, str]
    names: tuple[str, ...]
    end_ns: int | None


class Seen(NamedTuple):
    """What came of a world: decisions by strategy, and in words what was read besides the run's inputs."""

    decisions: dict[str, list[Decision]]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """The first decision of a strategy that moved, the cut that it was made before, and the inputs that moved it.

    `inputs` is empty where no kind of input alone moves anything: only several together do.
    """

    strategy: str
    moved: Moved
    cut_ns: int
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check found: `decisions` compared by strategy, findings in the order of the strategies."""

    cuts_ns: tuple[int, ...]
    worlds: int
    decisions: dict[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def check(
    config: Path, name: str | None, cuts: int, seed: int, workers: int, progress: Callable[[str], None]
) -> Verdict:
    """Return the verdict on the strategies of the configuration at `config`, or on the one called `name`.

    Two worlds for each of `cuts` instants: with more of everything after it and with less. Raises StrategyError for a
    strategy that decides differently in two runs of one world, ConfigError for cuts that the run has no room for.
    """
    run = load_run(config)
    names = tuple(plan.strategy.name for plan in chosen(run, name))
    instants = cut_instants(run, cuts, seed)
    ceiling_sat = run.settings.max_price_sat
    changes = [Change(cut, seed, rises, KINDS, ceiling_sat) for cut in instants for rises in (True, False)]
    progress(f"{len(names)} strategies in {len(changes)} other futures, {workers} processes")
    with tempfile.TemporaryDirectory(prefix="fairhash-bias-") as scratch:
        plain = World(config, _unchanged(run, config), names, None)
        worlds = [plain, plain, *(world_of(run, config, names, change, Path(scratch)) for change in changes)]
        truth, again, *others = in_processes(decide_in, worlds, workers, fresh=True)
        _require_repeatable(truth, again)
        firsts = {}
        for strategy in names:
            first = _earliest(truth.decisions[strategy], [other.decisions[strategy] for other in others], changes)
            if first is not None:
                progress(f"{strategy} is biased")
                firsts[strategy] = first
        changed = {change for _, change in firsts.values()}
        inputs: dict[str, tuple[str, ...]] = {}
        for change in sorted(changed, key=changes.index):
            progress(f"after {iso_utc(change.cut_ns)} one kind of input at a time")
            together = tuple(strategy for strategy, (_, its) in firsts.items() if its == change)
            inputs |= _inputs(run, config, together, truth, change, Path(scratch), workers)
    findings = [Finding(name, moved, change.cut_ns, inputs[name]) for name, (moved, change) in firsts.items()]
    counts = {strategy: len(truth.decisions[strategy]) for strategy in names}
    return Verdict(instants, len(changes), counts, tuple(findings), truth.notes)


def cut_instants(run: Run, cuts: int, seed: int) -> tuple[int, ...]:
    """Return instants of market events at which to cut: one drawn from each of `cuts` equal parts of the run's events.

    At an event, not between two: the strategy decides there, and the very next row is changed.
    """
    settings, history = run.settings, run.history
    times = [quote.time_ns for quote in history.quotes if settings.start_ns <= quote.time_ns < settings.end_ns]
    times += [b.close_ns for b in history.bars if settings.start_ns <= b.time_ns and b.close_ns < settings.end_ns]
    if not 1 <= cuts <= len(times):
        what = f"{cuts} is not between 1 and {len(times)}, the market events of the run"
        raise ConfigError([Problem("--cuts", what, "for example 8")])
    draw = Random(seed)  # noqa: S311 - a repeatable choice, no secret
    edges = [len(times) * part // cuts for part in range(cuts + 1)]  # rounded down
    return tuple(times[draw.randrange(low, high)] for low, high in pairwise(edges))


def world_of(run: Run, config: Path, names: tuple[str, ...], change: Change, scratch: Path) -> World:
    """Return the world of `change`, its inputs written below `scratch`; it ends at the cut: no more is asked."""
    from backtests.bias.files import chain_files, contract_file, history_files, write_files
    from bot import strict_yaml
    from bot.chain.chain import BUNDLED

    settings = run.settings
    figures = settings.config.figures or BUNDLED
    contract_path = settings.config.contract
    files = history_files(run.history, settings.contract, change)
    files |= {str(figures / name): content for name, content in chain_files(run.chain, change).items()}
    files[str(contract_path)] = contract_file(strict_yaml.load(contract_path), settings.contract, change)
    place = Path(tempfile.mkdtemp(dir=scratch))
    return World(config, {**_unchanged(run, config), **write_files(place, files)}, names, change.cut_ns)


def _unchanged(run: Run, config: Path) -> dict[str, str]:
    """Return the run's inputs, each led to itself: opening them is nothing to note."""
    paths = [str(config), str(run.settings.config.contract), *(source.path for source in run.history.sources)]
    figures = run.settings.config.figures
    paths += [str(figures / name) for name in (*ondisk.FILES, ondisk.SUMS)] if figures else []
    return {path: path for path in paths}


def decide_in(world: World) -> Seen:
    """Return what strategies decide in a world; for a process of its own, in which nothing has been read yet."""
    from backtests.bias.redirect import lead, native_readers

    noted = lead(world.led)
    run = load_run(world.config)
    decisions = {}
    for plan in run.plans:
        if plan.strategy.name in world.names:
            ended = plan if world.end_ns is None else replace(plan, end_ns=world.end_ns)
            # Every engine posts the same; this one asks the strategy in Python, where it can be heard.
            decisions[plan.strategy.name] = decisions_of(ended, lambda each: run_plan(each, REFERENCE))
    return Seen(decisions, tuple(sorted(noted | native_readers(world.led))))


def _require_repeatable(truth: Seen, again: Seen) -> None:
    for strategy, decisions in truth.decisions.items():
        moved = first_moved(decisions, again.decisions[strategy], 1 << 62)
        if moved is not None:
            what = f"{strategy} at {iso_utc(moved.time_ns)}: decided differently in two runs of the same inputs"
            raise StrategyError(f"{what}: {moved_text(moved)}; it must be a pure function of its view and parameters")
        if decisions and decisions[-1].what == "failure":
            raise StrategyError(decisions[-1].said)


def _earliest(
    truth: Sequence[Decision], others: Sequence[Sequence[Decision]], changes: Sequence[Change]
) -> tuple[Moved, Change] | None:
    found = []
    for other, change in zip(others, changes, strict=True):
        moved = first_moved(truth, other, change.cut_ns)
        if moved is not None:
            found.append((moved, change))
    return min(found, key=lambda pair: pair[0].time_ns, default=None)


def _inputs(
    run: Run, config: Path, names: tuple[str, ...], truth: Seen, change: Change, scratch: Path, workers: int
) -> dict[str, tuple[str, ...]]:
    """Return for each strategy the kinds of input each of which, changed alone, moves a decision before the cut."""
    worlds = [world_of(run, config, names, replace(change, kinds=(kind,)), scratch) for kind in KINDS]
    seen = list(zip(KINDS, in_processes(decide_in, worlds, workers, fresh=True), strict=True))
    return {
        name: tuple(
            kind
            for kind, one in seen
            if first_moved(truth.decisions[name], one.decisions[name], change.cut_ns) is not None
        )
        for name in names
    }


def moved_text(moved: Moved) -> str:
    """Return in words what moved: what was decided, and what with another future."""
    before, after = (f"{one.what} {one.said!r}" if one else "nothing" for one in (moved.before, moved.after))
    return f"{before} became {after}"


def as_text(verdict: Verdict) -> str:
    """Return the verdict for a person, a strategy a line, the biased ones with what moved them."""
    found = {finding.strategy: finding for finding in verdict.findings}
    lines = []
    for strategy, count in verdict.decisions.items():
        finding = found.get(strategy)
        if finding is None:
            lines.append(f"{strategy}: none of {count} decisions moved")
            continue
        inputs = " and by ".join(finding.inputs) or "several inputs together, none of them alone"
        lines.append(f"{strategy}: BIASED at {iso_utc(finding.moved.time_ns)}: moved by {inputs}")
        lines.append(f"  after {iso_utc(finding.cut_ns)} {moved_text(finding.moved)}")
    lines.append(f"{verdict.worlds} other futures, changed after {', '.join(map(iso_utc, verdict.cuts_ns))}")
    lines += [f"Note: {note}." for note in verdict.notes]
    return "\n".join(lines)


def as_document(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict for a program."""
    return {
        "biased": bool(verdict.findings),
        "other_futures": verdict.worlds,
        "cuts_utc": [iso_utc(cut) for cut in verdict.cuts_ns],
        "strategies": [{"strategy": name, "decisions": count} for name, count in verdict.decisions.items()],
        "findings": [
            {
                "strategy": finding.strategy,
                "time_utc": iso_utc(finding.moved.time_ns),
                "cut_utc": iso_utc(finding.cut_ns),
                "inputs": finding.inputs,
                "before": finding.moved.before._asdict() if finding.moved.before else None,
                "after": finding.moved.after._asdict() if finding.moved.after else None,
            }
            for finding in verdict.findings
        ],
        "notes": verdict.notes,
    }
