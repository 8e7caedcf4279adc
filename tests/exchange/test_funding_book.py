"""What is lent on the exchange is public, and a live run on it borrows at those rates."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bot.core.events import BTC
from bot.core.order import DEPOSIT, EXCHANGE, PlaceOffer, Transfer
from bot.feeds.amounts import Scale
from bot.feeds.swap_rates import Offer, offers_of
from tests.bitfinex import Bench

LOTS = Scale(Decimal(1), 100, "test")


def test_offers_of_one_rate_and_term_are_one_level_the_cheapest_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    now = bench.state.time_ns
    bench.service.submit(Transfer(now, "ann", EXCHANGE, DEPOSIT, BTC, 7 * 10**8))
    for amount, rate in ((2, 20_000_000), (3, 20_000_000), (1, 30_000_000)):
        answer = bench.service.submit(PlaceOffer(now, "ann", BTC, amount * 10**8, rate, 30))
        assert isinstance(answer, int), answer
    asked = {"symbol": "fBTC", "precision": "P0", "len": 25}
    rows = bench.client().public_get_book_symbol_precision(asked)
    market, *users = offers_of(rows, LOTS)  # as the feed reads them
    assert (market.rate_ppb_day, market.days) == (1_000_000, 2)
    assert users == [Offer(20_000_000, 30, Decimal(5)), Offer(30_000_000, 30, Decimal(1))]
    assert [row[2] for row in rows[1:]] == [2, 1]
    assert len(bench.client().public_get_book_symbol_precision({**asked, "len": 1})) == 1
    bench.service.close()


@pytest.mark.parametrize(("symbol", "precision"), [("fTH1", "R0"), ("fLTC", "P0")])
def test_other_books_of_lenders_are_refused(tmp_path: Path, symbol: str, precision: str) -> None:
    import ccxt

    bench = Bench(tmp_path)
    with pytest.raises(ccxt.BadRequest):
        bench.client().public_get_book_symbol_precision({"symbol": symbol, "precision": precision})
    bench.service.close()
