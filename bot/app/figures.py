"""Commands on chain figures and market history: verify, import, check, simulate."""

from __future__ import annotations

from argparse import Namespace
from datetime import date

from bot.app.outcome import Outcome
from bot.errors import ConfigError, Problem


def chain_verify(options: Namespace) -> Outcome:
    """Recompute every retarget from the figures."""
    from bot.chain.verify import verify

    report = verify(options.directory)
    return Outcome(report.to_text(), report.as_dict())


def chain_import(options: Namespace) -> Outcome:
    """Verify raw headers and write figures made of them."""
    from bot.chain.bundle import make

    first_day, last_day = _day("--from", options.first_day), _day("--to", options.last_day)
    if last_day < first_day:
        raise ConfigError([Problem("--to", f"{last_day} is before --from, {first_day}", "give a later day")])
    report = make(options.headers, options.first_height, options.epochs, options.fees, options.out, first_day, last_day)
    return Outcome(f"{options.out}: written\n{report.to_text()}", report.as_dict())


def _day(option: str, text: str) -> date:
    try:
        if len(text) != len("2014-08-01"):
            raise ValueError("ISO 8601 has other forms too; one is enough")
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError([Problem(option, f"{text!r} is not a day", "write 2014-08-01")]) from error


def history_check(options: Namespace) -> Outcome:
    """Say everything about a history file; raises HistoryError with its problems if it would be refused."""
    from bot.contract_file import read_contract
    from bot.errors import HistoryError
    from bot.history.check import check as check_file

    terms = read_contract(options.contract)
    if terms.settings is None or terms.contract is None or terms.problems:
        raise ConfigError(terms.problems)
    report = check_file(options.file, terms.contract, terms.settings.trading.max_price_sat)
    if not report.ok:
        raise HistoryError(list(report.problems))
    return Outcome(report.to_text(), report.as_dict())


def history_simulate(options: Namespace) -> Outcome:
    """Write a simulated market: quotes, bars and swap rates."""
    from bot.chain.chain import load as load_chain
    from bot.contract_file import load_contract
    from bot.history.simulate import interval_ns_of, simulate
    from bot.history.write import write_simulation

    contract = load_contract(options.contract)
    simulation = simulate(
        contract,
        load_chain(),
        seed=options.seed,
        interval_ns=interval_ns_of(options.interval),
        contract_path=str(options.contract),
    )
    paths = [str(path) for path in write_simulation(simulation, options.out)]
    return Outcome("SIMULATED PRICES\n" + "\n".join(paths), {"simulated_prices": True, "files": paths})


def history_resample(options: Namespace) -> Outcome:
    """Write longer bars made of a file's bars or quotes; a window in which anything is missing yields none."""
    from bot.contract_file import load_contract
    from bot.errors import HistoryError
    from bot.history.load import load_market
    from bot.history.resample import bars_to_longer, quotes_to_bars
    from bot.history.simulate import interval_ns_of
    from bot.history.write import bars_csv, write_files

    contract, interval_ns = load_contract(options.contract), interval_ns_of(options.interval)
    history = load_market(options.file, contract)
    bars = bars_to_longer(history.bars, interval_ns) if history.bars else quotes_to_bars(history.quotes, interval_ns)
    if not bars:
        what = f"no bar of {options.interval} is complete"
        raise HistoryError([Problem(str(options.file), what, "choose a shorter interval")])
    simulated = "true" if history.simulated else "false"
    text = bars_csv(bars, contract, {"simulated": simulated, "contract": contract.id})
    (path,) = write_files({options.out.name: text}, options.out.parent)
    mark = "SIMULATED PRICES\n" if history.simulated else ""
    document = {"file": str(path), "bars": len(bars), "simulated_prices": history.simulated}
    return Outcome(f"{mark}{path}: {len(bars)} bars", document)
