"""Commands sent through the unmodified ccxt.bitfinex client: what it does to them is checked, what it loses is found.

A reply that got lost, came late or cannot be read leaves the outcome unknown, so nothing is ever just sent again: the
venue is asked first what became of it (an order by its client id, among the open and the ended ones). That question
also settles it: it carries a higher nonce, and a venue that has seen it refuses the older request should it still come.
Only what was found to have had no effect is sent again, under the same client id. (docs/adr/0011)
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import chain
from typing import Any, Final

from bot.core.contract import Contract
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
from bot.errors import UnknownOutcomeError, UnsupportedError, VenueError
from bot.paper.bitfinex.rows import CLOSE, POST_ONLY, REDUCE_ONLY
from bot.paper.bitfinex.terms import MAX_CID, WALLET_NAMES, Terms, ms, rate
from bot.venues.ccxt_client import Row, in_words, refusal_of, rows_of, told

ATTEMPTS: Final = 8
"""How often a question or a command that surely had no effect is sent before giving up."""
SKEW_MS: Final = 3_600_000
"""How far the venue's clock may be behind ours when an order is looked for by its time."""
PAGE: Final = 2_500
Pause = Callable[[int], None]


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

    def submit(self, command: Command) -> int | Rejection:
        """Carry out a command, or return why not; an accepted one returns its order's or offer's id, else 0.

        Raises VenueError when the venue cannot be used, UnknownOutcomeError when it is not known whether the command
        was carried out: until that is found out, which each further call tries first, nothing more is sent.
        Raises UnsupportedError for what the protocol has no word for.
        """
        if self._in_doubt is not None:
            before, look = self._in_doubt
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
        raise VenueError(f"{type(command).__name__} had no effect in {ATTEMPTS} attempts: {in_words(failure)}")

    def _find_out(self, command: Command, look: Callable[[], int | None]) -> int | None:
        """Return the id that a command got, or None if it had no effect; raises UnknownOutcomeError."""
        self._in_doubt = (command, look)
        try:
            found: int | None = self._read(look)
        except VenueError as error:
            raise UnknownOutcomeError(f"{type(command).__name__} may have been carried out: {error}") from error
        self._in_doubt = None
        self.reconciled += 1
        return found

    def _read(self, ask: Callable[[], Any]) -> Any:
        """Return the answer to a question, which may be asked again at will."""
        failure: BaseException | None = None
        for attempt in range(ATTEMPTS):
            try:
                return ask()
            except Exception as error:
                if refusal_of(error) is not None:
                    raise VenueError(f"the venue does not answer: {in_words(error)}") from error
                failure = error
            self._pause(attempt)
        raise VenueError(f"no answer in {ATTEMPTS} attempts: {in_words(failure)}")

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

        return self._carry_out(command, send, lambda: self._look_for_order(command, lots))

    def _would_be_changed(self, command: PlaceOrder, lots: int) -> Rejection | None:
        """Refuse what the client would round, and what it does not check: smallest and largest size."""
        market = self._read(lambda: self._client.load_markets()[self._symbol])
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
        for row in chain(self._open_rows(), self._ended_rows(start)):
            if row[2] == command.cid and row[4] >= start:
                if self._terms.lots(row[7]) == lots and Decimal(str(row[16])) == _btc(command.price_sat):
                    return int(row[0])
                raise VenueError(f"cid {command.cid} is another order, {row[0]}")
        return None

    def _open_rows(self) -> list[Row]:
        return rows_of(self._client.privatePostAuthROrdersSymbol({"symbol": self._terms.symbol}))

    def _ended_rows(self, start_ms: int) -> Any:
        """Yield ended orders placed at or after a time, page by page, the newest first."""
        asked: dict[str, Any] = {"symbol": self._terms.symbol, "start": start_ms, "limit": PAGE}
        seen: set[int] = set()
        while True:
            page = rows_of(self._client.privatePostAuthROrdersSymbolHist(asked))
            fresh = [row for row in page if row[0] not in seen]
            yield from fresh
            if len(page) < PAGE or not fresh:
                return
            seen.update(row[0] for row in fresh)
            asked["end"] = page[-1][4]  # the last page's last millisecond comes again: it may have had more

    def _cancel(self, command: CancelOrder) -> int | Rejection:
        def send() -> int:
            told(self._client.privatePostAuthWOrderCancel({"id": command.order_id}))
            return 0

        def look() -> int | None:
            asked = {"symbol": self._terms.symbol, "id": [command.order_id]}
            return 0 if rows_of(self._client.privatePostAuthROrdersSymbolHist(asked)) else None

        return self._carry_out(command, send, look)

    # Wallets and loans --------------------------------------------------------------------------------------

    def _transfer(self, command: Transfer) -> int | Rejection:
        """Move between wallets. It has no id of ours, so its ledger entry is looked for behind the last one known."""
        terms, asset = self._terms, command.asset
        currency, amount = terms.currencies[asset], terms.held(command.amount, asset)
        source, target = (WALLET_NAMES.get(name, name) for name in (command.source, command.target))
        # Not the client's transfer(): it rounds to 8 significant digits, and fails its own assertion before.
        body = {"from": source, "to": target, "currency": currency, "currency_to": currency, "amount": f"{amount:f}"}
        last = max((row[0] for row in self._read(lambda: self._ledger(currency, 1))), default=0)

        def send() -> int:
            told(self._client.privatePostAuthWTransfer(body))
            return 0

        def look() -> int | None:
            wanted = (terms.held(command.amount, asset), target)
            for row in self._ledger(currency, PAGE):
                if row[0] > last and row[8].startswith("Transfer") and (Decimal(str(row[5])), row[2]) == wanted:
                    return 0
            return None

        return self._carry_out(command, send, look)

    def _ledger(self, currency: str, limit: int) -> list[Row]:
        return rows_of(self._client.privatePostAuthRLedgersCurrencyHist({"currency": currency, "limit": limit}))

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
        known = self._read(lambda: {row[0] for row in (*self._offer_rows(symbol), *self._loan_rows(symbol))})
        last = max(known, default=0)

        def look() -> int | None:
            wanted = (amount, price, command.term_days)
            for row in self._offer_rows(symbol):
                if row[0] > last and (Decimal(str(row[5])), Decimal(str(row[14])), row[15]) == wanted:
                    return int(row[0])
            lent = (row for row in self._loan_rows(symbol) if row[0] > last and row[2] == 1)
            # Taken whole at once, it has no id any more.
            return 0 if any(Decimal(str(row[11])) == price for row in lent) else None

        def send() -> int:
            return int(told(self._client.privatePostAuthWFundingOfferSubmit(body))[0])

        return self._carry_out(command, send, look)

    def _take_back(self, command: CancelOffer) -> int | Rejection:
        def send() -> int:
            told(self._client.privatePostAuthWFundingOfferCancel({"id": command.offer_id}))
            return 0

        def look() -> int | None:
            rows = rows_of(self._client.privatePostAuthRFundingOffers({}))
            return None if any(row[0] == command.offer_id for row in rows) else 0

        return self._carry_out(command, send, look)

    def _recall(self, command: RecallLoan) -> int | Rejection:
        def send() -> int:
            told(self._client.privatePostAuthWFundingClose({"id": command.loan_id}))
            return 0

        def look() -> int | None:
            rows = rows_of(self._client.privatePostAuthRFundingCredits({}))
            return None if any(row[0] == command.loan_id for row in rows) else 0

        return self._carry_out(command, send, look)

    def _offer_rows(self, symbol: str) -> list[Row]:
        return rows_of(self._client.privatePostAuthRFundingOffersSymbol({"symbol": symbol}))

    def _loan_rows(self, symbol: str) -> list[Row]:
        return rows_of(self._client.privatePostAuthRFundingCreditsSymbol({"symbol": symbol}))

    # What the venue says we have ----------------------------------------------------------------------------

    def position_lots(self) -> int:
        """Return the margin position in lots: from the raw row, since the client reports no contracts."""
        rows = self._read(lambda: rows_of(self._client.privatePostAuthRPositions({})))
        return sum(self._terms.lots(row[2]) for row in rows if row[0] == self._terms.symbol)

    def wallets(self) -> dict[tuple[str, str], Decimal]:
        """Return the balance of each wallet by (the protocol's name, currency)."""
        rows = self._read(lambda: rows_of(self._client.privatePostAuthRWallets({})))
        return {(row[0], row[1]): Decimal(str(row[2])) for row in rows}

    def open_order_ids(self) -> set[int]:
        """Return the ids of the orders that are open."""
        return {int(row[0]) for row in self._read(self._open_rows)}

    def differences(self, state: State, account: Account) -> list[str]:
        """Return in words where the venue and our own state of the account differ; nothing if they agree."""
        found = []
        live = {o.id for o in state.live if o.is_live and o.command.user == account.name}
        theirs = self.open_order_ids()
        if live != theirs:
            found.append(f"open orders: ours {sorted(live)}, the venue's {sorted(theirs)}")
        if account.margin_lots(state.ledger) != self.position_lots():
            found.append(f"position: ours {account.margin_lots(state.ledger)} lots, the venue's {self.position_lots()}")
        wallets = self.wallets()
        for name, purse in WALLET_NAMES.items():
            for asset, currency in enumerate(self._terms.currencies):
                ours = self._terms.held(state.balance(account.purses[name][asset]), asset)
                if wallets.get((purse, currency), Decimal(0)) != ours:
                    found.append(
                        f"{purse} wallet: ours {ours} {currency}, the venue's {wallets.get((purse, currency))}"
                    )
        return found


def _btc(amount_sat: int) -> Decimal:
    return Decimal(amount_sat).scaleb(-8).normalize()
