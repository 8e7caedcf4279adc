"""The configuration of a run: `config.yaml`, its contract and its strategies' parameters, as frozen settings.

Everything is read before anything is refused, so that all problems of all three come at once, each as
`file:line: path: value, bound, remedy`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.config_settings import Config, name_of
from bot.contract_file import ContractReading, read_contract
from bot.contract_settings import ContractSettings
from bot.core.contract import Contract, int64_bounds
from bot.core.events import BTC, CONTRACT, SwapRate
from bot.errors import ConfigError, FairhashError, Problem, cause
from bot.fields import Mapping, Money, Reading, Row, Size, Timestamp, explain, in_file_order, ranges_of, where
from bot.fields.explain import DEFAULT
from bot.strict_yaml import read, read_bytes

Resolve = Callable[[str], type[Any]]
"""From what `use` names to the strategy's Params class; raises a FairhashError for an unknown name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySettings:
    """A strategy with its typed parameters; `ranges` holds what a sweep tries of each (see bot.fields.ranges)."""

    name: str
    use: str
    params: Any
    ranges: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A whole run: what the configuration, its contract and its strategies' parameters say, resolved.

    Sizes are in lots of the contract; `borrow_demand` is what the market would borrow from us in
    (satoshi, lots); `swap_steps` are the stated live swap rates. `path` and the readings keep where each value came
    from.
    """

    path: str
    config: Config
    contract: Contract
    contract_settings: ContractSettings
    start_ns: int
    end_ns: int
    max_position_lots: int
    max_order_lots: int
    borrow_demand: tuple[int, int]
    swap_steps: tuple[SwapRate, ...]
    strategies: tuple[StrategySettings, ...]
    origins: dict[str, str]
    contract_origins: dict[str, str]

    @property
    def max_price_sat(self) -> int:
        """Highest price that is believed, in satoshi per contract."""
        return self.contract_settings.trading.max_price_sat


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A configuration as read: `settings`, None if there are `problems`, and what of it can be read on all the same.

    `files` holds the paths that the settings `history.market`, `history.swap_rates` and `chain` name, if they are
    there to be read; `terms` the contract's document, None if it could not be found.
    """

    settings: Settings | None
    problems: list[Problem]
    terms: ContractReading | None
    files: dict[str, Path]


def load_settings(path: str | os.PathLike[str], resolve: Resolve) -> Settings:
    """Return the settings of the run that the configuration at `path` describes.

    `resolve` finds a strategy's Params class. Raises ConfigError with all problems of the configuration, of the
    contract that it names, and of the strategies' parameters, file by file and line by line.
    """
    draft = draft_settings(path, resolve)
    if draft.settings is None:
        raise ConfigError(draft.problems)
    return draft.settings


def draft_settings(path: str | os.PathLike[str], resolve: Resolve) -> Draft:
    """Return what could be read of the configuration at `path`, with the problems that `load_settings` would raise."""
    document = read(path)
    reading = Reading(problems=list(document.problems))
    if document.root is None:
        return Draft(settings=None, problems=reading.problems, terms=None, files={})
    config = reading.section(document.root, Config)
    contract_path = reading.values.get("contract")
    terms = None
    if contract_path is not None:
        terms = read_contract(contract_path, asked_at=reading.origins["contract"])
        reading.problems.extend(terms.problems)
    files = _readable_files(reading)
    strategies = _strategies(reading, resolve)
    settings = None
    if config is not None and terms is not None and terms.contract is not None and terms.settings is not None:
        settings = _resolved(os.fspath(path), config, terms, terms.contract, terms.settings, reading, strategies)
    problems = in_file_order(reading.problems)
    return Draft(settings=None if problems else settings, problems=problems, terms=terms, files=files)


def explain_settings(settings: Settings) -> list[Row]:
    """Return every setting of a run with value, unit, origin and meaning: configuration, parameters, contract."""
    rows = list(explain(settings.config, settings.origins))
    for index, strategy in enumerate(settings.strategies):
        rows.extend(explain(strategy.params, settings.origins, f"strategies[{index}].params"))
        if strategy.ranges is not None:
            ranged = explain(strategy.ranges, settings.origins, f"strategies[{index}].sweep")
            rows.extend(row for row in ranged if row.origin != DEFAULT)
    return rows + list(explain(settings.contract_settings, settings.contract_origins, "contract"))


def strategies_of(text: str, resolve: Resolve) -> tuple[StrategySettings, ...]:
    """Return the strategies with their parameters that a configuration's text describes; it names no file that is read.

    Raises ConfigError with all problems of the document and of the strategies' parameters.
    """
    document = read_bytes(text.encode(), "config.yaml")
    reading = Reading(problems=list(document.problems))
    if document.root is not None:
        reading.section(document.root, Config)
        found = _strategies(reading, resolve)
        if not reading.problems:
            return found
    raise ConfigError(in_file_order(reading.problems))


def _strategies(reading: Reading, resolve: Resolve) -> tuple[StrategySettings, ...]:
    """Read the parameters of every strategy whose `use` could be read, whatever else is wrong."""
    found = []
    index = 0
    while f"strategies[{index}]" in reading.values:
        path = f"strategies[{index}]"
        index += 1
        use, name = reading.values.get(f"{path}.use"), reading.values.get(f"{path}.name")
        if not isinstance(use, str):
            continue
        try:
            params_type = resolve(use)
        except FairhashError as error:
            reading.refuse(reading.origins[f"{path}.use"], f"{path}.use", str(error))
            continue
        node = reading.values.get(f"{path}.params")
        if f"{path}.params" not in reading.values:
            file, _, line = reading.origins[path].rpartition(":")
            node = Mapping(file, int(line), ())
        if isinstance(node, Mapping):
            try:
                params = reading.section(node, params_type, f"{path}.params")
            except Exception as error:  # noqa: BLE001 - a check of the user's own class, which may do anything
                reading.refuse(where(node), f"{path}.params", f"Params of {use!r} failed: {cause(error)}")
                continue
            ranges = _ranges(reading, params_type, f"{path}.sweep")
            found.append(StrategySettings(name=name or name_of(use), use=use, params=params, ranges=ranges))
    return tuple(found)


def _ranges(reading: Reading, params_type: type[Any], path: str) -> Any:
    """Read which values of a strategy's parameters a sweep tries; None without such a section."""
    node = reading.values.get(path)
    if not isinstance(node, Mapping):
        return None
    if not node.entries:
        reading.refuse(where(node), path, "it names no parameter", "name one with its range, or leave it out")
    return reading.section(node, ranges_of(params_type), path)


def _readable_files(reading: Reading) -> dict[str, Path]:
    """Return the files that settings name; refuse those not there, and special ones, which could block a reader."""
    files = {}
    for path, is_wanted, noun in (
        ("history.market", _is_file_or_directory, "a file"),
        ("history.swap_rates", stat.S_ISREG, "a file"),
        ("chain", stat.S_ISDIR, "a directory"),
    ):
        value = reading.values.get(path)
        if not isinstance(value, Path):
            continue
        try:
            status = value.stat()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            reading.refuse(
                reading.origins[path], path, f"{str(value)!r} cannot be read: {reason}", "see docs/history.md"
            )
            continue
        if not is_wanted(status.st_mode):
            reading.refuse(reading.origins[path], path, f"{str(value)!r} is not {noun}")
            continue
        files[path] = value
    return files


def _is_file_or_directory(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _resolved(
    path: str,
    config: Config,
    terms: ContractReading,
    contract: Contract,
    contract_settings: ContractSettings,
    reading: Reading,
    strategies: tuple[StrategySettings, ...],
) -> Settings:
    """Return the settings in the contract's units; what does not fit the contract becomes a problem."""
    start_ns = contract.start_ns if config.run.start_ns is None else config.run.start_ns
    end_ns = contract.end_ns if config.run.end_ns is None else config.run.end_ns
    show = Timestamp().show
    _refuse_unless(
        contract.start_ns <= start_ns < contract.end_ns,
        reading,
        "run.start",
        f"{show(start_ns)} is not within the contract's term, {show(contract.start_ns)} to {show(contract.end_ns)}",
    )
    _refuse_unless(
        start_ns < end_ns <= contract.end_ns,
        reading,
        "run.end",
        f"{show(end_ns)} is not after the start {show(start_ns)} and by the term's end {show(contract.end_ns)}",
    )
    most_sat = int64_bounds(contract).max_notional_sat
    _refuse_unless(
        config.account.deposit_sat <= most_sat,
        reading,
        "account.deposit",
        f"{Money().show(config.account.deposit_sat)} is above {Money().show(most_sat)}, the most that 64-bit "
        "arithmetic can charge interest on at the contract's lending.max_rate",
    )
    days, lending = config.fills.loan_term_days, contract.lending
    _refuse_unless(
        lending.min_term_days <= days <= lending.max_term_days,
        reading,
        "fills.loan_term",
        f"{days} d is not between the contract's {lending.min_term_days} and {lending.max_term_days} d",
    )
    return Settings(
        path=path,
        config=config,
        contract=contract,
        contract_settings=contract_settings,
        start_ns=start_ns,
        end_ns=end_ns,
        max_position_lots=_lots(config.risk.max_position, contract, reading, "risk.max_position"),
        max_order_lots=_lots(config.risk.max_order, contract, reading, "risk.max_order"),
        borrow_demand=(
            config.fills.borrow_demand_btc_sat,
            _lots(config.fills.borrow_demand, contract, reading, "fills.borrow_demand"),
        ),
        swap_steps=_swap_steps(config, contract, reading),
        strategies=strategies,
        origins=reading.origins,
        contract_origins={f"contract.{path}": origin for path, origin in terms.origins.items()},
    )


def _swap_steps(config: Config, contract: Contract, reading: Reading) -> tuple[SwapRate, ...]:
    """Return the stated swap rates, each at the time from which it holds."""
    steps = []
    for index, step in enumerate(config.swap.schedule if config.swap is not None else ()):
        lots = _lots(step.available, contract, reading, f"swap.schedule[{index}].available")
        steps.append(SwapRate(step.from_ns, CONTRACT, step.rate_ppb_day, lots))
        steps.append(SwapRate(step.from_ns, BTC, step.btc_rate_ppb_day, step.btc_available_sat))
    return tuple(steps)


def _lots(size: Decimal, contract: Contract, reading: Reading, path: str) -> int:
    """Return a size in lots, exactly; one that is finer than a lot becomes a problem."""
    numerator, denominator = size.as_integer_ratio()
    lots, rest = divmod(numerator * contract.lots_per_contract, denominator)
    lot = Size().show(Decimal(1) / contract.lots_per_contract)
    _refuse_unless(not rest, reading, path, f"{Size().show(size)} is not a whole number of lots of {lot}")
    return lots


def _refuse_unless(holds: bool, reading: Reading, path: str, what: str) -> None:
    """Note a problem at the setting's line, or where it is a default at the top of the document."""
    if not holds:
        top = next(iter(reading.origins.values())).rpartition(":")[0] + ":1"
        reading.refuse(reading.origins.get(path, top), path, what)
