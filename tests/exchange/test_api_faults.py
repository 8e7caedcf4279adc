"""Faults 34 to 44 (FAULTS.md) that need no socket: nonces, signatures, cids, hostile JSON, the shape of errors."""

from __future__ import annotations

import json
import pickle
import traceback
from pathlib import Path
from typing import Any

import ccxt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import ConfigError
from bot.paper.bitfinex.protocol import Flood, Request
from bot.paper.bitfinex.wire import MAX_BODY_BYTES
from bot.paper.keys import parse_keys, read_keys
from tests.bitfinex import KEYS, SECRETS, Bench, Signer, public, signed

TH1 = "TH1/BTC"
ORDER = {"symbol": "tTH1BTC", "type": "EXCHANGE LIMIT", "amount": "1", "price": "1.5", "cid": 7}


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    made.service.close()


@pytest.fixture
def signer(bench: Bench) -> Signer:
    return Signer(bench)


def test_fault_34_a_nonce_counts_once_also_after_a_restart(bench: Bench, signer: Signer) -> None:
    request = signer.request("w/order/submit", ORDER, nonce="5000")
    assert signer.send(request)[0] == 200
    assert signer.send(request) == (500, ["error", 10114, "nonce: small"])
    bench.restart()
    for nonce in ("5000", "4999", "1"):
        assert signer.send(signer.request("r/wallets", nonce=nonce))[1][1] == 10114
    assert signer.send(signer.request("r/wallets", nonce="5001"))[0] == 200
    assert signer.send(signed("ben-key", "/v2/auth/r/wallets", "1", b"{}"))[0] == 200  # each key has its own
    assert len(bench.state.orders) == 1


def test_fault_34_the_nonce_of_a_question_is_kept_over_a_crash_too(bench: Bench, signer: Signer) -> None:
    assert signer.send(signer.request("r/wallets", nonce="9000"))[0] == 200
    bench.service.journal._connection.close()  # no farewell: what was not committed is gone
    bench.service.journal._sidecar.close()
    bench.open()
    assert signer.send(signer.request("r/wallets", nonce="9000"))[1][1] == 10114


@pytest.mark.parametrize("nonce", ["", "0", "-1", "1e3", "٣", "1.0", "9" * 20, " 7", "0x10", "\x00", "nan"])
def test_fault_34_what_is_no_nonce(bench: Bench, signer: Signer, nonce: str) -> None:
    status, answer = signer.send(signer.request("r/wallets", nonce=nonce))
    assert (status, answer[:2]) == (500, ["error", 10114])


def test_fault_35_a_bad_key_or_signature(bench: Bench, signer: Signer) -> None:
    good = signer.request("w/order/submit", ORDER)
    for change in (
        {"bfx-apikey": "nobody"},
        {"bfx-apikey": ""},
        {"bfx-signature": good.headers["bfx-signature"].upper() + "0"},
        {"bfx-signature": ""},
        {"bfx-signature": "ä" * 96},
        {"bfx-nonce": "99999999"},
        {"bfx-apikey": "ben-key"},
    ):
        status, answer = signer.send(good._replace(headers={**good.headers, **change}))
        assert (status, answer[:2]) == (500, ["error", 10100]), change
    for changed in (
        good._replace(body=good.body + b" "),
        good._replace(path="/v2/auth/w/order/cancel"),
        signed("ann-key", "/v2/auth/r/wallets", "99999", b"{}", secret="a-wrong-secret-of-sixteen"),
    ):
        assert signer.send(changed)[1][1] == 10100
    assert not bench.state.orders and signer.send(good)[0] == 200  # none of them used up its nonce


def test_fault_36_a_cid_names_one_order_a_day(bench: Bench, signer: Signer) -> None:
    first = signer.post("w/order/submit", ORDER)[1][4][0]
    assert signer.post("w/order/submit", ORDER)[1][4][0] == first
    for change in ({"amount": "2"}, {"price": "1.6"}, {"type": "LIMIT"}, {"flags": 4096}):
        status, answer = signer.post("w/order/submit", {**ORDER, **change})
        assert status == 500 and "CID_REUSED" in answer[2]
    bench.restart()
    assert signer.post("w/order/submit", ORDER)[1][4][0] == first
    other = Signer(bench, "ben-key").post("w/order/submit", ORDER)[1][4][0]
    assert other[0] != first[0]
    signer.post("w/order/cancel", {"id": first[0]})
    assert signer.post("w/order/submit", ORDER)[1][4][0][13] == "CANCELED"  # the same order, whatever became of it
    bench.quote(199_000_000, 201_000_000, after_s=86_400)
    assert signer.post("w/order/submit", {**ORDER, "amount": "2"})[1][4][0][0] not in (first[0], other[0])


def test_fault_37_a_body_that_is_too_long(bench: Bench, signer: Signer) -> None:
    assert signer.post("r/wallets", raw=b" " * (MAX_BODY_BYTES + 1))[0] == 413


HOSTILE = [
    b"[" * 60_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"id":' + b"9" * 5_000 + b"}",
    b'{"amount":1e999999}',
    b'{"amount":NaN}',
    b'{"amount":-Infinity}',
    b'{"id":1,"id":2}',
    b"\xff\xfe",
    b"{",
    b"null",
    b'"text"',
    b"[]",
    b"\x00",
]


@pytest.mark.parametrize("raw", HOSTILE)
@pytest.mark.parametrize("path", ["w/order/submit", "w/transfer", "r/orders/hist"])
def test_fault_39_hostile_json_is_an_error_in_the_protocols_shape(signer: Signer, path: str, raw: bytes) -> None:
    status, answer = signer.post(path, raw=raw)
    assert status == 500 and answer[:2] == ["error", 10020] and len(answer[2]) < 300


TEXTS = [
    "'; DROP TABLE entries; --", "../../etc/passwd", "a\x00b", "🦊", "\ud800", "ann/trading/BTC", "%s%n", "{{7*7}}",
    "-0", "1_0", "٣", "", " ", "1e5", "0x10", "ann", True, None, [], {}, 0, -1, 10**30,
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_fault_40_every_string_is_inert(bench: Bench, signer: Signer, text: Any) -> None:
    before = dict(bench.state.ledger.balances)
    offer = {"type": "LIMIT", "symbol": "fBTC", "amount": "1", "rate": "0.001", "period": 2}
    move = {"from": "exchange", "to": "margin", "currency": "BTC", "currency_to": "BTC", "amount": "1"}
    for path, body in (("w/order/submit", ORDER), ("w/funding/offer/submit", offer), ("w/transfer", move)):
        for field in body:
            if field == "cid" and (text is None or (type(text) is int and 0 <= text < 1 << 45)):
                continue  # these are cids
            if field == "currency_to":
                continue
            status, answer = signer.post(path, {**body, field: text})
            assert (status, answer[0]) == (500, "error"), (path, field)
    assert not bench.state.orders and bench.state.ledger.balances == before
    if isinstance(text, str):
        for path in ("ticker/{}", "book/{}/R0", "candles/{}/hist", "conf/{}", "{}"):
            status, answer = public(bench, "/v2/" + path.format(text))
            assert status == 500 or "conf" in path


field = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(TEXTS[:16])
)
fit = st.sampled_from(["tTH1BTC", "fBTC", "BTC", "1", "LIMIT", "MARKET", "margin"])
bodies = st.dictionaries(
    st.sampled_from([
        "id", "cid", "cid_date", "symbol", "type", "amount", "price", "flags", "all", "ops", "start", "end", "limit",
        "sort", "from", "to", "currency", "currency_to", "rate", "period",
    ]),
    st.one_of(field, st.lists(field, max_size=3), fit),
    max_size=8,
)  # fmt: skip
paths = st.sampled_from([
    "w/order/submit", "w/order/update", "w/order/cancel", "w/order/cancel/multi", "w/order/multi", "r/orders",
    "r/orders/hist", "r/trades/hist", "r/order/tTH1BTC:3/trades", "r/wallets", "r/positions", "r/ledgers/BTC/hist",
    "w/transfer", "r/summary", "r/info/margin/base", "r/info/margin/sym_all", "w/funding/offer/submit",
    "r/funding/offers", "w/funding/offer/cancel", "w/funding/offer/cancel/all", "w/funding/close",
    "r/funding/credits/fTH1", "w/position/claim", "r/info/funding/fBTC", "r/orders/tTH1BTC/hist",
])  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=paths, body=bodies)
def test_fault_44_whatever_is_asked_is_answered_in_a_shape_that_ccxt_maps(
    bench: Bench, signer: Signer, path: str, body: dict[str, Any]
) -> None:
    status, answer = signer.post(path, raw=json.dumps(body).encode())
    assert isinstance(answer, list)
    if status != 200:
        assert status == 500 and answer[0] == "error" and type(answer[1]) is int and type(answer[2]) is str


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ((500, b'["error",10114,"nonce: small"]'), ccxt.InvalidNonce),
        ((500, b'["error",11010,"ratelimit: error"]'), ccxt.RateLimitExceeded),
        ((500, b'["error",10100,"apikey: invalid"]'), ccxt.AuthenticationError),
        ((500, b'["error",10020,"amount: invalid"]'), ccxt.BadRequest),
        ((500, b'["error",10020,"symbol: invalid (x)"]'), ccxt.BadSymbol),
        ((500, b'["error",20060,"maintenance"]'), ccxt.OnMaintenance),
        ((413, b'["error",10020,"body: invalid"]'), ccxt.BaseError),
        ((403, b'["error",10020,"host: invalid"]'), ccxt.BaseError),
    ],
)
def test_fault_44_each_code_is_the_exception_it_should_be(bench: Bench, reply: Any, kind: Any) -> None:
    with pytest.raises(kind):
        bench.client(carry=lambda request: reply).privatePostAuthRWallets({})


def test_an_unknown_path_or_method_is_an_error_in_shape(bench: Bench, signer: Signer) -> None:
    for request in (
        Request("GET", "/"),
        Request("GET", "/v1/ticker"),
        Request("POST", "/v2/ticker/tTH1BTC"),
        Request("GET", "/v2/auth/r/wallets"),
        signer.request("w/withdraw"),
        Request("GET", "/v2/tickers", "%ff=1&" * 400),
        Request("GET", "/v2/book/tTH1BTC/R0", "len=7"),
        Request("GET", "/v2/book/tTH1BTC/P4"),
        Request("GET", "/v2/trades/tTH1BTC/hist", "limit=0"),
        Request("GET", "/v2/trades/tTH1BTC/hist", "limit=1&limit=2"),
        Request("GET", "/v2/candles/trade:2h:tTH1BTC/hist"),
    ):
        status, answer = signer.send(request)
        assert (status, answer[:2]) == (500, ["error", 10020])


def test_an_api_that_is_flooded_refuses_before_it_writes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, flood=Flood(per_second=1, burst=3))
    signer = Signer(bench)
    answers = [signer.send(signer.request("r/wallets"), arrived_ms=0)[1] for _ in range(5)]
    assert [answer[:2] for answer in answers[3:]] == [["error", 11010]] * 2
    entries = bench.service.journal.pending
    assert signer.send(signer.request("r/wallets"), arrived_ms=999)[1][1] == 11010
    assert bench.service.journal.pending == entries
    assert signer.send(signer.request("r/wallets"), arrived_ms=1_999)[0] == 200
    bench.service.close()


def test_a_full_disk_refuses_the_order_and_says_so(
    bench: Bench, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.errors import JournalFullError, Problem
    from bot.paper.journal import Journal

    with monkeypatch.context() as patched:

        def full(journal: Journal) -> None:
            if journal.pending:
                raise JournalFullError([Problem("journal", "no space")])

        patched.setattr(Journal, "commit", full)
        assert signer.post("w/order/submit", ORDER)[1][:2] == ["error", 20060]
    assert not bench.state.orders
    assert signer.post("w/order/submit", ORDER)[0] == 200
    assert len(bench.state.orders) == 1 and signer.post("r/orders")[1][0][2] == 7


# Secrets ------------------------------------------------------------------------------------------------------


def test_a_secret_is_in_no_repr_text_pickle_or_traceback(bench: Bench) -> None:
    secret = SECRETS["ann-key"]
    key = bench.protocol.keys["ann-key"]
    seen = [repr(key), str(key), repr(bench.protocol.keys), repr(vars(bench.protocol))]
    with pytest.raises(TypeError):
        pickle.dumps(key)
    try:
        key.signs(b"", None)  # type: ignore[arg-type]
    except AttributeError as error:
        seen.append("".join(traceback.format_exception(error)))
    seen.append(repr(bench.protocol.handle(Request("POST", "/v2/auth/r/wallets", "", {"bfx-apikey": "ann-key"}), 0)))
    assert len(seen) == 6 and not any(secret in text for text in seen)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_of_keys_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys"
    path.write_bytes(KEYS)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}.*chmod 600"):
        read_keys(path)
    path.chmod(0o600)
    assert set(read_keys(path)) == set(SECRETS)


def test_a_file_of_keys_that_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    import os

    (tmp_path / "keys").write_bytes(KEYS)
    (tmp_path / "keys").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "keys")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe", "absent", "."):
        with pytest.raises(ConfigError):
            read_keys(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "has no key"),
        (b"ann:key", ":1: has 2 fields"),
        (b"# keys\n\nann:key:short", ":3: the secret"),
        (b"a/b:key:secret-of-sixteen-letters", "the user"),
        (b"market:key:secret-of-sixteen-letters", "the user"),
        (b"ann:k y:secret-of-sixteen-letters", "the key"),
        (KEYS + KEYS, "there already"),
        (b"x" * 70_000, "longer"),
    ],
)
def test_a_wrong_line_is_named_without_what_it_says(content: bytes, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as refused:
        parse_keys(content, "keys")
    assert "secret-of-sixteen-letters" not in str(refused.value)
