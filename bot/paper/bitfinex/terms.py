"""How a contract is called and counted on the wire: symbols, currencies, and exact conversions both ways.

On the wire a size is in contracts, a price or amount in bitcoin, a rate a fraction a day, a time in milliseconds. What
is not a whole number of lots, ticks or satoshi is refused, never rounded.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from bot.core.contract import Contract
from bot.core.events import BTC, CONTRACT
from bot.core.order import DEPOSIT, EXCHANGE, TRADING
from bot.core.units import NS_PER_S, PPB, SAT_PER_BTC
from bot.errors import UnsupportedError
from bot.paper.bitfinex.refusals import bad

QUOTE: Final = "BTC"
WALLETS: Final = {"exchange": EXCHANGE, "margin": TRADING, "funding": DEPOSIT}
"""The protocol's names of our wallets."""
WALLET_NAMES: Final = {ours: theirs for theirs, ours in WALLETS.items()}
NS_PER_MS: Final = NS_PER_S // 1000
MAX_CID: Final = (1 << 45) - 1
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_ASSET: Final = re.compile("[A-Z0-9]{2,20}")


class Terms:
    """Names and units of one contract. Raises UnsupportedError if the protocol cannot carry it."""

    def __init__(self, contract: Contract) -> None:
        asset = contract.asset
        if not _ASSET.fullmatch(asset) or "F0" in asset or asset == QUOTE:
            raise UnsupportedError(f"asset {asset!r}: the protocol needs capitals and digits, not F0 (its derivatives)")
        if 10**8 % contract.lots_per_contract:
            what = (
                f"{contract.lots_per_contract} lots a contract: one lot has no exact size in the protocol's 8 decimals"
            )
            raise UnsupportedError(what)
        self.contract = contract
        self.pair = asset + QUOTE if len(asset) == 3 else f"{asset}:{QUOTE}"
        self.symbol = "t" + self.pair
        self.currencies = (QUOTE, asset)
        self.funding_symbols = ("f" + QUOTE, "f" + asset)

    def check_symbol(self, value: Any) -> None:
        """Refuse any symbol but the contract's; ccxt maps it to BadSymbol."""
        if value != self.symbol:
            raise bad("symbol", f"only {self.symbol} is traded here")

    def asset_of(self, value: Any) -> int:
        """Return the asset of a currency."""
        if value == QUOTE:
            return BTC
        if value == self.currencies[CONTRACT]:
            return CONTRACT
        raise bad("currency", f"only {' and '.join(self.currencies)} exist here")

    def funded_asset(self, value: Any) -> int:
        """Return the asset of a funding symbol such as fBTC."""
        if value in self.funding_symbols:
            return self.funding_symbols.index(value)
        raise bad("symbol", f"only {' and '.join(self.funding_symbols)} are lent here")

    # From the wire ------------------------------------------------------------------------------------------

    def lots(self, value: Any, name: str = "amount") -> int:
        """Return a signed size in contracts as lots, exactly."""
        return _scaled(value, self.contract.lots_per_contract, name, "lots")

    def price_sat(self, value: Any) -> int:
        """Return a price in bitcoin a contract as satoshi on the tick, exactly; zero and below are refused."""
        price = _scaled(value, SAT_PER_BTC, "price", "satoshi")
        if price <= 0 or price % self.contract.tick_sat:
            raise bad("price", f"not above 0 and on the tick of {plain_btc(self.contract.tick_sat)}")
        return price

    def amount(self, value: Any, asset: int) -> int:
        """Return an amount of a currency as satoshi or lots, exactly."""
        return _scaled(value, SAT_PER_BTC if asset == BTC else self.contract.lots_per_contract, "amount", "units")

    def rate_ppb_day(self, value: Any) -> int:
        """Return a daily rate (0.01 is 1 % a day) as parts per billion, exactly."""
        return _scaled(value, PPB, "rate", "parts per billion")

    # To the wire --------------------------------------------------------------------------------------------

    def size(self, lots: int) -> Decimal:
        """Return lots as contracts, exactly."""
        per = self.contract.lots_per_contract
        return Decimal(lots * (10**8 // per)).scaleb(-8)

    def held(self, amount: int, asset: int) -> Decimal:
        """Return satoshi as bitcoin, lots as contracts, exactly."""
        return btc(amount) if asset == BTC else self.size(amount)


def btc(amount_sat: int) -> Decimal:
    """Return satoshi as bitcoin, exactly."""
    return Decimal(amount_sat).scaleb(-8)


def plain_btc(amount_sat: int) -> str:
    """Return satoshi as bitcoin for texts."""
    return f"{btc(amount_sat).normalize():f}"


def rate(rate_ppb_day: int) -> Decimal:
    """Return parts per billion a day as a fraction a day, exactly."""
    return Decimal(rate_ppb_day).scaleb(-9)


def ms(time_ns: int) -> int:
    """Return a time in milliseconds, rounded down, as the protocol has it."""
    return time_ns // NS_PER_MS  # rounded down


def whole(value: Any, name: str, least: int, most: int) -> int:
    """Return a whole number within bounds; texts, fractions and truth values are refused."""
    if type(value) is not int or not least <= value <= most:
        raise bad(name, f"not a whole number in {least}..{most}")
    return value


def _scaled(value: Any, scale: int, name: str, unit: str) -> int:
    """Return value x scale as a whole number: in integers, since Decimal would round beyond its precision."""
    text = digits_of(value, name)
    whole_part, _, fraction = text.partition(".")
    ones: int = 10 ** len(fraction)
    number, rest = divmod(abs(int(whole_part + fraction)) * scale, ones)
    if rest:
        raise bad(name, f"{text} is not a whole number of {unit}")
    return -number if text.startswith("-") else number


def digits_of(value: Any, name: str) -> str:
    """Return the plain ASCII digits of a number that was given as a JSON number or as text."""
    if type(value) is Decimal:
        value = format(value, "f")
    elif type(value) is int:
        value = str(value)
    if type(value) is not str or not _NUMBER.fullmatch(value):
        raise bad(name, "not a number in plain digits")
    return str(value)
