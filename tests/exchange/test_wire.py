"""Numbers cross the protocol's edge exactly, both ways, or are refused; nothing else is ever written."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.events import BTC, CONTRACT
from bot.errors import UnsupportedError
from bot.paper.bitfinex.refusals import RefusedError
from bot.paper.bitfinex.terms import Terms, btc, rate
from bot.paper.bitfinex.wire import plain, read_value, write
from tests.contracts import th1

TERMS = Terms(th1())
digits = st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", fullmatch=True)


@given(st.integers(-(2**63), 2**63))
def test_amounts_come_back_as_they_were(amount: int) -> None:
    for asset in (BTC, CONTRACT):
        held = TERMS.held(amount, asset)
        assert TERMS.amount(plain(held), asset) == amount
        assert TERMS.amount(json.loads(write(held), parse_float=Decimal), asset) == amount
    assert TERMS.rate_ppb_day(plain(rate(amount))) == amount


@given(digits, st.sampled_from([1, 25, 100, 10_000, 12_500_000]))
def test_what_is_accepted_is_exact_and_what_is_not_is_refused(text: str, per_contract: int) -> None:
    exact = Fraction(text) * per_contract
    terms = Terms(th1(lots_per_contract=per_contract))
    if exact.denominator == 1:
        assert terms.lots(text) == exact
    else:
        with pytest.raises(RefusedError, match="whole number of lots"):
            terms.lots(text)


@given(st.integers(1, 10**12))
def test_a_price_is_on_the_tick_or_refused(price_sat: int) -> None:
    text = plain(btc(price_sat))
    if price_sat % TERMS.contract.tick_sat == 0:
        assert TERMS.price_sat(text) == price_sat
    else:
        with pytest.raises(RefusedError, match="tick"):
            TERMS.price_sat(text)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.decimals(-(10**9), 10**9, places=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=12,
)


@given(values)
def test_what_is_written_is_json_and_reads_back(value: object) -> None:
    read = json.loads(write([value]), parse_float=Decimal)
    assert read == [value]


@pytest.mark.parametrize("value", [1.5, float("nan"), b"x", {1, 2}, object()])
def test_a_float_or_anything_strange_is_never_written(value: object) -> None:
    with pytest.raises(TypeError):
        write([value])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        read_value(raw)
    except RefusedError as refusal:
        assert refusal.code == 10020


@pytest.mark.parametrize(
    "changes", [{"asset": "th1"}, {"asset": "BTC"}, {"asset": "BTCF0"}, {"asset": "A/B"}, {"lots_per_contract": 3}]
)
def test_a_contract_that_the_protocol_cannot_carry_is_refused_by_name(changes: dict[str, object]) -> None:
    with pytest.raises(UnsupportedError, match="protocol"):
        Terms(th1(**changes))
