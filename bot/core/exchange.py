"""The exchange: commands and market events go in, postings, fills and notices come out. Deterministic, no clock.

A command is decided on without effect (`decide`) and then applied, which cannot fail; what was accepted,
in its order, is all that a journal must keep: replay gives the same state to the satoshi.
"""

from __future__ import annotations

from bot.core import claim, matching, settlement
from bot.core.contract import Contract
from bot.core.decide import decide, same_order
from bot.core.events import (
    CONTRACT,
    RANK_BLOCK,
    RANK_DATA,
    RANK_EXPIRY,
    RANK_FUNDING,
    RANK_INTEREST,
    RANK_OPEN,
    RANK_STRATEGY,
    RANK_TERMS,
    Bar,
    Block,
    Quote,
    SwapRate,
    refuse_rank,
    refuse_time,
)
from bot.core.ledger import MARKET, Account
from bot.core.lending import add_offer, drop_offer, lend_to_market, on_swap_rate, overdue_lots, pay_interest, refinance
from bot.core.margin import margin_equity_sat, requirement_sat, standing, total_equity_sat
from bot.core.order import (
    EXCHANGE,
    TRADING,
    CancelOffer,
    CancelOrder,
    Command,
    Deposit,
    Order,
    PlaceOffer,
    PlaceOrder,
    Rejection,
    Transfer,
    Withdraw,
    reducing,
)
from bot.core.settlement import cancel, settle_dividends
from bot.core.state import Loan, MarketRules, new_state
from bot.core.units import NS_PER_DAY, PPM, notional_sat


class Exchange:
    """One venue for one contract. Times never fall; see bot.core.events for the order at equal times.

    Raises ValueError when an event is older than the last one, or a block or swap rate comes at its time but ranks
    before it: that is a fault of whoever feeds it.
    """

    __slots__ = ("_steps", "state")

    def __init__(self, contract: Contract, rules: MarketRules, time_ns: int, keep_moves: bool = True) -> None:
        self.state = new_state(contract, rules, time_ns, keep_moves)
        # Before the first step the first terms hold: there is no time without margin.
        self.state.initial_ppm = contract.margin[0].initial_ppm
        self.state.maintenance_ppm = contract.margin[0].maintenance_ppm
        times = sorted({step.from_ns for step in contract.margin} | {step.from_ns for step in contract.collateral})
        self._steps = [t for t in times if t > time_ns]
        self._step_terms(time_ns)

    # Commands -----------------------------------------------------------------------------------------------

    def submit(self, command: Command) -> int | Rejection:
        """Carry out a command, or return why not; an accepted one returns its order's or offer's id, else 0."""
        if command.time_ns >= self.state.time_ns:
            self.reach(command.time_ns, RANK_STRATEGY)
        return decide(self.state, command) or self.apply(command)

    def apply(self, command: Command) -> int:
        """Carry out a command that `decide` accepted and return its order's or offer's id, else 0."""
        state = self.state
        state.ledger.begin()
        if isinstance(command, PlaceOrder):
            return self._place(command)
        if isinstance(command, PlaceOffer):
            return self._offer(command)
        if isinstance(command, CancelOrder):
            self._cancel_order(command)
        elif isinstance(command, Deposit):
            account = self._account(command.user)
            source = state.venue.outside[command.asset]
            state.ledger.move(state.time_ns, "deposit", source, account.exchange[command.asset], command.amount)
        elif isinstance(command, Withdraw):
            account = state.accounts[command.user]
            target = state.venue.outside[command.asset]
            state.ledger.move(state.time_ns, "withdrawal", account.exchange[command.asset], target, command.amount)
        elif isinstance(command, Transfer) and claim.is_claim(command):
            claim.carry_out(state, state.accounts[command.user], command)
            self.check_margins()
        elif isinstance(command, Transfer):
            self._transfer(command)
        elif isinstance(command, CancelOffer):
            self._cancel_offer(command)
        else:
            state.notify(state.loans[command.loan_id].borrower, "recall", "loan {} was recalled", command.loan_id)
            self._end_loan(state.loans[command.loan_id])
        return 0

    def _cancel_order(self, command: CancelOrder) -> None:
        cancel(self.state, self.state.orders[command.order_id], "CANCELLED_BY_USER")
        matching.drop_ended(self.state)

    def _transfer(self, command: Transfer) -> None:
        purses = self.state.accounts[command.user].purses
        source, target = purses[command.source][command.asset], purses[command.target][command.asset]
        self.state.ledger.move(self.state.time_ns, "transfer", source, target, command.amount)

    def _offer(self, command: PlaceOffer) -> int:
        asset, amount = command.asset, command.amount
        offer = add_offer(self.state, command.user, asset, amount, command.rate_ppb_day, command.term_days)
        lend_to_market(self.state, asset)
        return offer.id

    def _cancel_offer(self, command: CancelOffer) -> None:
        for pool in self.state.offers:
            for offer in list(pool):
                if offer.id == command.offer_id:
                    drop_offer(self.state, offer)

    def _account(self, user: str) -> Account:
        account = self.state.accounts.get(user)
        if account is None:
            account = self.state.accounts[user] = Account(user, self.state.contract.asset, self.state.index)
        return account

    def _place(self, command: PlaceOrder) -> int:
        state = self.state
        known = same_order(state, command)
        if known is not None:
            return known
        account = state.accounts[command.user]
        size = command.size_lots
        if command.close:
            size = -account.margin_lots(state.ledger)
            command = reducing(command)
        order = self._enter(command, size)
        state.by_cid[(command.user, command.cid, command.time_ns // NS_PER_DAY)] = order.id
        if command.wallet == EXCHANGE:
            if size < 0:
                account.reserved[CONTRACT] -= size
            settlement.reserve(state, account, order)
        if command.active_ns <= state.time_ns:
            matching.activate(state, order)
            matching.drop_ended(state)
            self.check_margins()
        return order.id

    def _enter(self, command: PlaceOrder, size_lots: int, forced: bool = False) -> Order:
        state = self.state
        order = Order(state.new_id(), command, size_lots, size_lots, state.event, forced=forced)
        state.orders[order.id] = order
        state.live.append(order)
        state.changes += 1
        return order

    # Market events ------------------------------------------------------------------------------------------

    def on_block(self, block: Block) -> None:
        """Let a block pay its dividend to the holders of record."""
        self._in_order(block.time_ns, RANK_BLOCK)
        self.reach(block.time_ns, RANK_BLOCK)
        if not self.state.expired:
            settlement.on_block(self.state, block)

    def on_swap_rate(self, row: SwapRate) -> None:
        """Let the market's lending offers change."""
        self._in_order(row.time_ns, RANK_FUNDING)
        self.reach(row.time_ns, RANK_FUNDING)
        if not self.state.expired:
            self.state.ledger.begin()
            on_swap_rate(self.state, row)

    def on_quote(self, quote: Quote) -> None:
        """Move the mark to the quote's mid (rounded down), check margins, match what was waiting."""
        self.reach(quote.time_ns, RANK_DATA)
        state = self.state
        if state.expired:
            return
        state.event += 1
        state.bid_sat, state.ask_sat = quote.bid_sat, quote.ask_sat
        state.mark_sat = (quote.bid_sat + quote.ask_sat) // 2
        self.check_margins()
        if state.live:
            matching.match_quote(state, quote)
            self.check_margins()

    def on_bar_open(self, bar: Bar) -> None:
        """Move the mark to the bar's open, check margins, match what was waiting."""
        self.reach(bar.time_ns, RANK_OPEN)
        state = self.state
        if state.expired:
            return
        state.event += 1
        state.bid_sat = state.ask_sat = 0
        state.mark_sat = bar.open_sat
        self.check_margins()
        if state.live:
            matching.match_open(state, bar)
            self.check_margins()

    def on_bar_close(self, bar: Bar) -> None:
        """Move the mark to the bar's close, check margins, fill resting orders that the bar traded through."""
        self.reach(bar.close_ns, RANK_DATA)
        state = self.state
        if state.expired:
            return
        state.event += 1
        state.bid_sat = state.ask_sat = 0
        state.mark_sat = bar.close_sat
        self.check_margins()
        if state.live:
            matching.match_close(state, bar)
            self.check_margins()

    # Time ---------------------------------------------------------------------------------------------------

    def reach(self, time_ns: int, rank: int) -> None:
        """Do all that the exchange must do by itself before (time, rank), and move its time there."""
        state = self.state
        if time_ns < state.time_ns:
            refuse_time(time_ns, state.time_ns)
        if state.due_ns <= time_ns:
            self._run_due(time_ns, rank)
        state.time_ns = time_ns
        state.rank = rank

    def next_due_ns(self) -> int:
        """Return when the exchange must next act by itself; until then only events change anything."""
        state = self.state
        if state.due_ns == 0:
            state.due_ns = self._next_due()[0]
        return state.due_ns

    def _in_order(self, time_ns: int, rank: int) -> None:
        """Refuse an event that should have come before what has already happened at its time."""
        if time_ns == self.state.time_ns and rank < self.state.rank:
            refuse_rank(time_ns, rank, self.state.rank)

    def _run_due(self, time_ns: int, rank: int) -> None:
        state = self.state
        while True:
            due = self._next_due()
            if state.expired or due >= (time_ns, rank):
                state.due_ns = due[0]
                return
            state.time_ns = due[0]
            if due[1] == RANK_TERMS:
                self._step_terms(due[0])
                self.check_margins()
            elif due[1] == RANK_INTEREST:
                self._pay_and_renew(due[0])
                self.check_margins()
            else:
                settlement.expire(state)

    def _next_due(self) -> tuple[int, int]:
        state = self.state
        if state.expired:
            return (1 << 62, RANK_OPEN)
        step = self._steps[0] if self._steps else 1 << 62
        interest = state.daily_ns
        for loan in state.loans.values():
            if loan.end_ns < interest and not loan.overdue:
                interest = loan.end_ns
        end = state.contract.end_ns
        if step <= min(interest, end):  # terms rank before interest, interest before expiry
            return (step, RANK_TERMS)
        return (interest, RANK_INTEREST) if interest <= end else (end, RANK_EXPIRY)

    def _step_terms(self, time_ns: int) -> None:
        state = self.state
        for margin in state.contract.margin:
            if margin.from_ns <= time_ns:
                state.initial_ppm, state.maintenance_ppm = margin.initial_ppm, margin.maintenance_ppm
        for collateral in state.contract.collateral:
            if collateral.from_ns <= time_ns:
                state.contract_is_collateral = collateral.contract_counts
        while self._steps and self._steps[0] <= time_ns:
            self._steps.pop(0)
        state.conditions += 1

    def _pay_and_renew(self, time_ns: int) -> None:
        """Pay the day's interest and dividends at 00:00 UTC, and end the loans whose term is over."""
        state = self.state
        state.ledger.begin()
        if time_ns >= state.daily_ns:
            state.daily_ns += NS_PER_DAY
            for loan in state.loans.values():
                pay_interest(state, loan)
            for account in state.accounts.values():
                settle_dividends(state, account)
        for loan in list(state.loans.values()):
            if loan.end_ns <= time_ns and not loan.overdue:
                self._end_loan(loan)

    def _end_loan(self, loan: Loan) -> None:
        """Renew a loan at the best offers; what finds no lender is covered by a forced order."""
        state = self.state
        unfunded = refinance(state, loan)
        if unfunded == 0:
            return
        loan.overdue = True
        account = state.accounts[loan.borrower]
        account.overdue = True
        state.notify(account.name, "cover", "loan {}: no lender for {}, the venue covers it", loan.id, unfunded)
        self._cover(account)

    def _cover(self, account: Account) -> None:
        """See to it that one forced order stands for all that is overdue; the position may have changed since the last.

        An order that grows waits for the next event, as a new one would.
        """
        state = self.state
        lots = overdue_lots(state, account)
        account.overdue = lots != 0
        if account.liquidating or lots == 0:
            return
        size = lots if account.margin_lots(state.ledger) < 0 else -lots
        for order in state.live:
            if order.is_live and order.forced and order.command.user == account.name:
                if abs(size) > abs(order.remaining_lots):
                    order.size_lots += size - order.remaining_lots
                    order.remaining_lots = size
                    order.event = state.event
                return
        self._force(account, size)

    def _force(self, account: Account, size_lots: int) -> None:
        now = self.state.time_ns
        command = PlaceOrder(now, account.name, 0, TRADING, size_lots, reduce_only=True, active_ns=now)
        self._enter(command, size_lots, forced=True)

    # Margin -------------------------------------------------------------------------------------------------

    def check_margins(self) -> None:
        """Call or liquidate each margin account below its requirement: at marks, fills, payments, steps of terms."""
        if not self.state.loans:
            return
        for account in self.state.accounts.values():
            if account.loan_ids and not account.liquidating and account.name != MARKET:
                self._check_margin(account)
                if account.overdue:
                    self._cover(account)

    def _check_margin(self, account: Account) -> None:
        """Liquidate below maintenance; call once below the call level; forget the call above it."""
        state = self.state
        if not account.called and standing(state, account).is_safe(state, state.mark_sat, state.time_ns):
            return
        lots = account.margin_lots(state.ledger)
        equity = margin_equity_sat(state, account, state.time_ns)
        required = requirement_sat(lots, state.mark_sat, state.contract.lots_per_contract, state.maintenance_ppm)
        if equity < required:
            said = "equity {} sat < maintenance {} sat, {} lots"
            state.notify(account.name, "liquidation", said, equity, required, lots)
            account.liquidating = True
            for order in state.live:
                if order.is_live and order.command.user == account.name and order.command.wallet == TRADING:
                    cancel(state, order, "LIQUIDATING")
            matching.drop_ended(state)
            self._force(account, -lots)
        elif equity * PPM < required * state.contract.margin_call_ppm:
            if not account.called:
                state.notify(account.name, "margin_call", "equity {} sat, maintenance {} sat", equity, required)
            account.called = True
        else:
            account.called = False

    # What can be asked --------------------------------------------------------------------------------------

    def equity_sat(self, user: str) -> int:
        """Return everything `user` is worth at the mark, in satoshi."""
        return total_equity_sat(self.state, self.state.accounts[user], self.state.time_ns)

    def position_lots(self, user: str) -> int:
        """Return the net position of `user`: what is owned, lent and held or owed on margin."""
        account = self.state.accounts[user]
        return account.spot_lots(self.state.ledger) + account.margin_lots(self.state.ledger)

    def value_sat(self, lots: int) -> int:
        """Return what `lots` are worth at the mark."""
        return notional_sat(lots, self.state.mark_sat, self.state.contract.lots_per_contract)

    def settle(self) -> None:
        """Post everything that has accrued: dividends of every holder, interest of every loan."""
        state = self.state
        state.ledger.begin()
        for loan in list(state.loans.values()):
            pay_interest(state, loan)
        for account in state.accounts.values():
            settle_dividends(state, account)
