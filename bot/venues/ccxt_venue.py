"""Commands sent through the unmodified ccxt.bitfinex client: what it does to them is checked, what it loses is found.

A reply that got lost, came late or cannot be read leaves the outcome unknown, so nothing is ever just sent again: the
venue is asked first what became of it (an order by its client id, among the open and the ended ones). That question
also settles it: it carries a higher nonce, and a venue that has seen it refuses the older request should it still come.
Only what was found to have had no effect is sent again, under the same client id. (docs/adr/0011)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import chain
from typing import Any, Final

from bot.core.contract import Contract
from bot.core.events import Fill
from bot.core.ledger import Account
from bot.core.order import (
    TRADING,
    CancelOffer,
    CancelOrder,
    Command,
    PlaceOffer,
    PlaceOrder,
    RecallLoan,
    Rejection,
    Transfer,
)
from bot.core.state import State
from bot.errors import UnknownOutcomeError, UnsupportedError, VenueAwayError, VenueError
from bot.history.fields import iso_utc
from bot.paper.bitfinex.rows import CLOSE, POST_ONLY, REDUCE_ONLY
from bot.paper.bitfinex.terms import MAX_CID, WALLET_NAMES, Terms, ms, rate
from bot.venues import ccxt_rows as rows
from bot.venues.ccxt_client import in_words, refusal_of, told
from bot.venues.report import OfferLine, Report, TradeLine, differences, expected, offer_line, reported, trade

ATTEMPTS: Final = 8
"""How often a question or a command that surely had no effect is sent before giving up."""
SKEW_MS: Final = 3_600_000
"""How far the venue's clock may be behind ours when an order is looked for by its time."""
DAYS_MS: Final = 120 * 86_400_000
"""How long ago an order that is to be cancelled may have been placed: longer than any contract here lasts."""
Pause = Callable[[int], None]


class _ReusedError(Exception):
    """A client id names another order than the one that is looked for."""


class CcxtVenue:
    """One user's account on a venue that ccxt's bitfinex class reaches; `submit` is what a Trader sends through."""

    def __init__(self, client: Any, contract: Contract, pause: Pause = lambda attempt: None) -> None:
        """Take a client made by `client`. `pause` is called with the attempt's number before something is sent anew."""
        if client.options.get("maxRetriesOnFailure"):
            raise VenueError("the client repeats what failed, which makes orders twice: set maxRetriesOnFailure to 0")
        self._client = client
        self._terms = Terms(contract)
        self._symbol = f"{contract.asset}/BTC"
        self._pause = pause
        self._in_doubt: tuple[Command, Callable[[], int | None]] | None = None
        self.reconciled = 0
        """How many outcomes were unknown and were found out."""
        self.books: tuple[State, Account] | None = None
        """Our own books, if they are not the venue's: then ids of orders and offers are ours, and are translated."""
        self.looks_since_ns: int | None = None
        """Set, commands may have been sent since and forgotten: each is looked for before it is sent."""
        self.remembered = 0
        """How many commands were found to have been carried out before, and were not sent again."""
        self._order_ids: dict[int, int] = {}
        self._offer_ids: list[tuple[OfferLine, int]] = []

    def submit(self, command: Command) -> int | Rejection:
        """Carry out a command, or return why not; an accepted one returns its order's or offer's id, else 0.

        Raises VenueError when the venue cannot be used, UnknownOutcomeError when it is not known whether the command
        was carried out: until that is found out, which each further call tries first, nothing more is sent.
        Raises UnsupportedError for what the protocol has no word for.
        """
        if self._in_doubt is not None:
            before, look = self._in_doubt
            with suppress(_ReusedError):  # then that one was not carried out
                self._find_out(before, look)
        if isinstance(command, PlaceOrder):
            return self._place(command)
        if isinstance(command, CancelOrder):
            return self._cancel(command)
        if isinstance(command, Transfer):
            return self._transfer(command)
        if isinstance(command, PlaceOffer):
            return self._offer(command)
        if isinstance(command, CancelOffer):
            return self._take_back(command)
        if isinstance(command, RecallLoan):
            return self._recall(command)
        raise UnsupportedError(f"{type(command).__name__}: money does not come or go through an API key")

    # Sending, and finding out -------------------------------------------------------------------------------

    def _carry_out(self, command: Command, send: Callable[[], int], look: Callable[[], int | None]) -> int | Rejection:
        """Send until there is an answer; whenever there is none, look first whether it was carried out."""
        failure: BaseException | None = None
        if self.looks_since_ns is not None and (known := self._find_out(command, look)) is not None:
            self.remembered += 1
            return known
        for attempt in range(ATTEMPTS):
            try:
                return send()
            except Exception as error:  # noqa: BLE001 - whatever is not a refusal leaves the outcome unknown
                refusal = refusal_of(error)
                if refusal is not None:
                    return refusal
                failure = error
            found = self._find_out(command, look)
            if found is not None:
                return found
            self._pause(attempt)
        raise VenueAwayError(f"{type(command).__name__} had no effect in {ATTEMPTS} attempts: {in_words(failure)}")

    def _find_out(self, command: Command, look: Callable[[], int | None]) -> int | None:
        """Return the id that a command got, or None if it had no effect; raises UnknownOutcomeError."""
        self._in_doubt = (command, look)
        try:
            found: int | None = self.ask(look)
        except _ReusedError:
            self._in_doubt = None
            raise
        except VenueError as error:
            raise UnknownOutcomeError(f"{type(command).__name__} may have been carried out: {error}") from error
        self._in_doubt = None
        self.reconciled += 1
        return found

    def ask(self, ask: Callable[[], Any]) -> Any:
        """Return the answer to a question, which may be asked again at will."""
        failure: BaseException | None = None
        for attempt in range(ATTEMPTS):
            try:
                return ask()
            except _ReusedError:
                raise
            except Exception as error:
                if refusal_of(error) is not None:
                    raise VenueError(f"the venue does not answer: {in_words(error)}") from error
                failure = error
            self._pause(attempt)
        raise VenueAwayError(f"no answer in {ATTEMPTS} attempts: {in_words(failure)}")

    # Orders -------------------------------------------------------------------------------------------------

    def _place(self, command: PlaceOrder) -> int | Rejection:
        if command.active_ns > command.time_ns:
            raise UnsupportedError("latency: a venue has its own; set fills.latency to 0 s")
        if type(command.cid) is not int or not 0 <= command.cid <= MAX_CID:
            return Rejection("BAD_AMOUNT", f"cid {command.cid!r} is not a whole number in 0..{MAX_CID}")
        lots = -self.position_lots() if command.close else command.size_lots
        if lots == 0:
            return Rejection("NOTHING_TO_REDUCE" if command.close else "BAD_AMOUNT", "0 lots")
        refusal = self._would_be_changed(command, abs(lots))
        if refusal is not None:
            return refusal
        flags = POST_ONLY * command.post_only + REDUCE_ONLY * command.reduce_only + CLOSE * command.close
        params: dict[str, Any] = {"cid": command.cid}
        if flags:
            params["flags"] = flags  # summed here: the client would let flags override its own postOnly and reduceOnly
        if command.wallet == TRADING:
            params["marginMode"] = "cross"  # `margin: True` would still be sent as an exchange order
        side = "buy" if lots > 0 else "sell"  # any other word is a sale to the client
        kind, price = ("limit", _btc(command.price_sat)) if command.price_sat else ("market", None)
        size = self._terms.size(abs(lots))

        def send() -> int:
            return int(self._client.create_order(self._symbol, kind, side, size, price, params)["info"][0])

        try:
            answer = self._carry_out(command, send, lambda: self._look_for_order(command, lots))
        except _ReusedError as error:
            return Rejection("CID_REUSED", str(error))
        if not isinstance(answer, Rejection):
            self._order_ids[command.cid] = answer
        return answer

    def _would_be_changed(self, command: PlaceOrder, lots: int) -> Rejection | None:
        """Refuse what the client would round, and what it does not check: smallest and largest size."""
        market = self.ask(lambda: self._client.load_markets()[self._symbol])
        size, limits = self._terms.size(lots), market["limits"]["amount"]
        if (limits["min"] is not None and size < limits["min"]) or (limits["max"] is not None and size > limits["max"]):
            return Rejection("BAD_AMOUNT", f"{size} contracts are not in {limits['min']}..{limits['max']}")
        if Decimal(self._client.amount_to_precision(self._symbol, size)) != size:
            return Rejection("BAD_AMOUNT", f"the client would cut {size} to 8 decimals")
        price = _btc(command.price_sat)
        if command.price_sat and Decimal(self._client.price_to_precision(self._symbol, price)) != price:
            return Rejection("BAD_PRICE", f"the client would round {price} BTC to 5 significant digits")
        return None

    def _look_for_order(self, command: PlaceOrder, lots: int) -> int | None:
        """Return the id of the order with this cid: open ones first, since one may end while we look."""
        start = max(ms(command.time_ns) - SKEW_MS, 0)
        ended = rows.ended_orders(self._client, self._terms, start)
        for row in chain(rows.open_orders(self._client, self._terms), ended):
            if row[2] == command.cid and row[4] >= start:
                if self._terms.lots(row[7]) == lots and Decimal(str(row[16])) == _btc(command.price_sat):
                    return int(row[0])
                raise _ReusedError(f"cid {command.cid} is order {row[0]}")
        return None

    def _cancel(self, command: CancelOrder) -> int | Rejection:
        named = self._named(command.order_id)

        def send() -> int:
            told(self._client.privatePostAuthWOrderCancel(named))
            return 0

        def look() -> int | None:
            if "id" not in named:
                ended = rows.ended_orders(self._client, self._terms, max(ms(command.time_ns) - DAYS_MS, 0))
                return 0 if any(row[2] == named["cid"] for row in ended) else None
            return 0 if rows.ended_order(self._client, self._terms, named["id"]) else None

        return self._carry_out(command, send, look)

    def _named(self, order_id: int) -> dict[str, Any]:
        """Return how the venue knows an order: by its id there, or by its cid and the UTC day of that."""
        if self.books is None:
            return {"id": order_id}
        placed = self.books[0].orders[order_id].command
        if placed.cid < 0:
            return {"id": -placed.cid}  # see OrderLine
        if placed.cid in self._order_ids:
            return {"id": self._order_ids[placed.cid]}
        return {"cid": placed.cid, "cid_date": iso_utc(placed.time_ns)[:10]}

    # Wallets and loans --------------------------------------------------------------------------------------

    def _transfer(self, command: Transfer) -> int | Rejection:
        """Move between wallets. It has no id of ours, so its ledger entry is looked for behind the last one known."""
        terms, asset = self._terms, command.asset
        currency, amount = terms.currencies[asset], terms.held(command.amount, asset)
        source, target = (WALLET_NAMES.get(name, name) for name in (command.source, command.target))
        # Not the client's transfer(): it rounds to 8 significant digits, and fails its own assertion before.
        body = {"from": source, "to": target, "currency": currency, "currency_to": currency, "amount": f"{amount:f}"}
        last = self.ask(lambda: self._last_entry(currency))

        def send() -> int:
            told(self._client.privatePostAuthWTransfer(body))
            return 0

        def look() -> int | None:
            wanted = (terms.held(command.amount, asset), target)
            for row in rows.ledger(self._client, currency, rows.PAGE):
                if row[0] > last and row[8].startswith("Transfer") and (Decimal(str(row[5])), row[2]) == wanted:
                    return 0
            return None

        return self._carry_out(command, send, look)

    def _last_entry(self, currency: str) -> int:
        """Return the id of the last ledger entry that cannot be of what is to be sent."""
        since = self.looks_since_ns
        if since is None:
            return max((row[0] for row in rows.ledger(self._client, currency, 1)), default=0)
        entries = rows.ledger(self._client, currency, rows.PAGE)
        return max((row[0] for row in entries if row[3] < ms(since)), default=0)

    def _offer(self, command: PlaceOffer) -> int | Rejection:
        """Offer a loan. It has no id of ours either: a new offer, or new loans at its rate, are looked for."""
        terms, symbol = self._terms, self._terms.funding_symbols[command.asset]
        amount, price = terms.held(command.amount, command.asset), rate(command.rate_ppb_day)
        body = {
            "type": "LIMIT",
            "symbol": symbol,
            "amount": f"{amount:f}",
            "rate": f"{price:f}",
            "period": command.term_days,
        }
        known = self.ask(lambda: {row[0] for row in (*rows.offers(self._client), *rows.loans(self._client))})
        last = max(known, default=0)

        def look() -> int | None:
            if self.looks_since_ns is not None and self.books is not None:
                return self._look_for_offer(command, *self.books)
            wanted = (amount, price, command.term_days)
            for row in rows.offers(self._client):
                if (
                    row[0] > last
                    and row[1] == symbol
                    and (Decimal(str(row[5])), Decimal(str(row[14])), row[15]) == wanted
                ):
                    return int(row[0])
            lent = (n for n in rows.loans(self._client) if n[0] > last and n[1:3] == [symbol, 1])
            # Taken whole at once, it has no id any more.
            return 0 if any(Decimal(str(loan[11])) == price for loan in lent) else None

        def send() -> int:
            return int(told(self._client.privatePostAuthWFundingOfferSubmit(body))[0])

        return self._carry_out(command, send, look)

    def _look_for_offer(self, command: PlaceOffer, state: State, account: Account) -> int | None:
        """Return 0 if the venue has an offer, or loans from one, that our own books lack: forgotten in a crash."""
        ours, theirs = expected(state, account), self._report(state.mark_sat)
        wanted = (command.asset, command.amount, command.rate_ppb_day, command.term_days)
        offers = [[(o.asset, o.amount, o.rate_ppb_day, o.term_days) for o in one.offers] for one in (theirs, ours)]
        lent = [
            sum(n.amount for n in one.loans if (n.asset, n.side, n.rate_ppb_day) == (command.asset, 1, wanted[2]))
            for one in (theirs, ours)
        ]
        return 0 if offers[0].count(wanted) > offers[1].count(wanted) or lent[0] > lent[1] else None

    def _take_back(self, command: CancelOffer) -> int | Rejection:
        number = command.offer_id if self.books is None else self._offer_id(command.offer_id, self.books[0])
        if number is None:
            return Rejection("UNKNOWN_ID", f"offer {command.offer_id} is not on the venue")

        def send() -> int:
            told(self._client.privatePostAuthWFundingOfferCancel({"id": number}))
            return 0

        def look() -> int | None:
            return None if any(row[0] == number for row in rows.offers(self._client)) else 0

        return self._carry_out(command, send, look)

    def _offer_id(self, ours: int, state: State) -> int | None:
        """Return the venue's id of an offer that is alike, and none is given twice; None if there is none."""
        offer = next(one for pool in state.offers for one in pool if one.id == ours)
        line = OfferLine(offer.asset, offer.amount, offer.remaining, offer.rate_ppb_day, offer.term_days)
        found = next((pair for pair in self._offer_ids if pair[0] == line), None)
        if found is not None:
            self._offer_ids.remove(found)
        return None if found is None else found[1]

    def _recall(self, command: RecallLoan) -> int | Rejection:
        if self.books is not None:
            raise UnsupportedError("RecallLoan: a loan has no name that we and the venue share")

        def send() -> int:
            told(self._client.privatePostAuthWFundingClose({"id": command.loan_id}))
            return 0

        def look() -> int | None:
            return None if any(row[0] == command.loan_id for row in rows.loans(self._client)) else 0

        return self._carry_out(command, send, look)

    # What the venue says we have ----------------------------------------------------------------------------

    def position_lots(self) -> int:
        """Return the margin position in lots: from the raw row, since the client reports no contracts."""
        found = self.ask(lambda: rows.positions(self._client))
        return sum(self._terms.lots(row[2]) for row in found if row[0] == self._terms.symbol)

    def open_order_ids(self) -> set[int]:
        """Return the ids of the orders that are open."""
        return {int(row[0]) for row in self.ask(lambda: rows.open_orders(self._client, self._terms))}

    def report(self, mark_sat: int) -> Report:
        """Return what the venue says of the account; `mark_sat` is its mark, which its rows count profits at.

        Raises VenueAwayError if it does not answer, or with what cannot be read.
        """
        report: Report = self.ask(lambda: self._report(mark_sat))
        return report

    def _report(self, mark_sat: int) -> Report:
        found = rows.account(self._client, self._terms)
        made = reported(self._terms, mark_sat, found)
        self._order_ids = {row[2]: row[0] for row in found.orders if row[2] is not None}
        self._offer_ids = [(offer_line(self._terms, row), row[0]) for row in found.offers]
        return made

    def trades_behind(self, fills: Sequence[Fill], known: int) -> list[TradeLine]:
        """Return the account's own trades behind the first `known` of our own fills; the oldest first."""
        start_ms = ms(fills[known - 1].time_ns) if known else 0
        first = known
        while first > 0 and ms(fills[first - 1].time_ns) == start_ms:
            first -= 1
        told = known - first

        def read() -> list[TradeLine]:
            return [trade(self._terms, row) for row in rows.trades(self._client, self._terms, start_ms)]

        found: list[TradeLine] = self.ask(read)
        return found[told:]

    def differences(self, state: State, account: Account) -> list[str]:
        """Return in words where the venue and our own books of the account differ; nothing if they agree."""
        return differences(expected(state, account), self.report(state.mark_sat))


def _btc(amount_sat: int) -> Decimal:
    return Decimal(amount_sat).scaleb(-8).normalize()
