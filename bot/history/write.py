"""Write history as CSV that `bot.history.load` reads back to the same rows: exact decimal text, line feeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bot.core.contract import Contract
from bot.core.events import BTC, Bar, Quote, SwapRate
from bot.core.units import SAT_PER_BTC
from bot.errors import HistoryError, OutputError, Problem
from bot.history.fields import iso_utc
from bot.history.rows import COLUMNS
from bot.history.series import BARS, QUOTES, RATES
from bot.history.simulate import Simulation

_PRICE_DECIMALS, _RATE_DECIMALS, _MAX_LOT_DECIMALS = 8, 9, 18


def decimal_text(value: int, decimals: int, shown: int = 0) -> str:
    """Return value / 10^decimals as exact decimal text with at least `shown` decimals; value >= 0.

    >>> decimal_text(150_000_000, 8, 4), decimal_text(1, 8), decimal_text(200, 2)
    ('1.5000', '0.00000001', '2')
    """
    digits = str(value).rjust(decimals + 1, "0")
    whole, fraction = (digits[:-decimals], digits[-decimals:]) if decimals else (digits, "")
    kept = fraction.rstrip("0").ljust(shown, "0")
    return f"{whole}.{kept}" if kept else whole


def quotes_csv(quotes: Iterable[Quote], contract: Contract, comments: Mapping[str, str]) -> str:
    """Return quotes as CSV text with leading `# key: value` comments."""
    shown, lots = _tick_decimals(contract), _Lots(contract)
    rows = (
        f"{iso_utc(quote.time_ns)},{_price(quote.bid_sat, shown)},{lots.text(quote.bid_size_lots)},"
        f"{_price(quote.ask_sat, shown)},{lots.text(quote.ask_size_lots)}"
        for quote in quotes
    )
    return _csv(QUOTES, rows, comments)


def bars_csv(bars: Sequence[Bar], contract: Contract, comments: Mapping[str, str]) -> str:
    """Return bars as CSV text; their length is stated in the comments if those do not state it already."""
    shown, lots = _tick_decimals(contract), _Lots(contract)
    if bars and "interval" not in comments:
        length_ns = bars[0].close_ns - bars[0].time_ns
        comments = {**comments, "interval": f"{length_ns // 10**9} s"}
    rows = (
        f"{iso_utc(bar.time_ns)},{_price(bar.open_sat, shown)},{_price(bar.high_sat, shown)},"
        f"{_price(bar.low_sat, shown)},{_price(bar.close_sat, shown)},{lots.text(bar.volume_lots)}"
        for bar in bars
    )
    return _csv(BARS, rows, comments)


def rates_csv(rates: Iterable[SwapRate], contract: Contract, comments: Mapping[str, str]) -> str:
    """Return swap rates as CSV text."""
    lots = _Lots(contract)
    rows = (
        f"{iso_utc(rate.time_ns)},BTC,{_rate(rate)},{decimal_text(rate.available, _PRICE_DECIMALS)}"
        if rate.asset == BTC
        else f"{iso_utc(rate.time_ns)},{contract.asset},{_rate(rate)},{lots.text(rate.available)}"
        for rate in rates
    )
    return _csv(RATES, rows, comments)


def simulation_files(simulation: Simulation) -> dict[str, str]:
    """Return the three files of a simulation by name: `<contract id>-quotes.csv`, `-bars.csv`, `-swap-rates.csv`."""
    contract, comments = simulation.contract, simulation.comments
    # Rates keep an interval of their own, which no reader needs.
    rate_comments = {key: text for key, text in comments.items() if key != "interval"}
    return {
        f"{contract.id}-quotes.csv": quotes_csv(simulation.quotes, contract, comments),
        f"{contract.id}-bars.csv": bars_csv(simulation.bars, contract, comments),
        f"{contract.id}-swap-rates.csv": rates_csv(simulation.rates, contract, rate_comments),
    }


def write_simulation(simulation: Simulation, out_dir: str | Path) -> list[Path]:
    """Write the files of a simulation into `out_dir`, made if need be, and return their paths; see `write_files`."""
    return write_files(simulation_files(simulation), Path(out_dir))


def write_files(texts: Mapping[str, str], directory: Path) -> list[Path]:
    """Write texts by file name into `directory`, made if need be, and return their paths.

    All of them are written beside their places before the first is renamed into its own: a full disk leaves the old
    ones as they were. Raises OutputError.
    """
    beside = {directory / name: directory / f".{name}.part" for name in texts}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            for path, part in beside.items():
                part.write_bytes(texts[path.name].encode("ascii"))
            for path, part in beside.items():
                part.replace(path)
        finally:
            for part in beside.values():
                part.unlink(missing_ok=True)
    except OSError as fault:
        what = f"cannot be written: {fault.strerror or fault}"
        raise OutputError([Problem(str(directory), what, "free space or choose another --out")]) from fault
    return list(beside)


class _Lots:
    """Lots as decimal contracts; a lot must be a finite decimal of a contract (1/100 is, 1/3 is not)."""

    def __init__(self, contract: Contract) -> None:
        lots = contract.lots_per_contract
        for decimals in range(_MAX_LOT_DECIMALS + 1):
            if 10**decimals % lots == 0:
                self._decimals, self._scale = decimals, 10**decimals // lots
                return
        what = f"1/{lots} of a contract has no finite decimal text"
        raise HistoryError([Problem(contract.id, what, "choose a lot such as 0.01")])

    def text(self, lots: int) -> str:
        return decimal_text(lots * self._scale, self._decimals)


def _tick_decimals(contract: Contract) -> int:
    """Return how many decimals the tick has: 4 for 0.0001 BTC."""
    return len(decimal_text(contract.tick_sat % SAT_PER_BTC, _PRICE_DECIMALS).partition(".")[2])


def _price(price_sat: int, shown: int) -> str:
    return decimal_text(price_sat, _PRICE_DECIMALS, shown)


def _rate(rate: SwapRate) -> str:
    return decimal_text(rate.rate_ppb_day, _RATE_DECIMALS, 6)


def _csv(kind: str, rows: Iterable[str], comments: Mapping[str, str]) -> str:
    head = [f"# {key}: {text}" for key, text in comments.items()]
    return "\n".join([*head, ",".join(COLUMNS[kind]), *rows]) + "\n"
