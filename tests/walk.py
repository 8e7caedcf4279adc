"""A walk of several users over one exchange, drawn step by step, with an oracle that does not use the core's rules.

`Walk` turns draws into commands and events; `Oracle` recomputes from postings and blocks alone what must be true.
The same walk serves Hypothesis (shrinking) and a seeded generator (reaching everything).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Protocol, TypeVar

from bot.core import lending
from bot.core.accrual import DIFFICULTY_1_TARGET, interest_sat
from bot.core.contract import (
    ENTRY_NOTIONAL,
    FPPS,
    MARK,
    PPS,
    PRO_RATA,
    CollateralStep,
    Contract,
    Lending,
    MarginStep,
    Payout,
)
from bot.core.decide import decide
from bot.core.events import BTC, CONTRACT, RANK_STRATEGY, Bar, Block, Fill, Quote, SwapRate
from bot.core.exchange import Exchange
from bot.core.invariants import check, check_margin
from bot.core.ledger import Move
from bot.core.margin import margin_equity_sat
from bot.core.order import (
    WALLETS,
    CancelOffer,
    CancelOrder,
    Command,
    Deposit,
    PlaceOffer,
    PlaceOrder,
    RecallLoan,
    Rejection,
    Transfer,
    Withdraw,
)
from bot.core.state import MarketRules, market_price_sat
from bot.core.units import NS_PER_DAY, NS_PER_S, PPM, SAT_PER_BTC
from tests.ledgers import START_NS, snapshot

T = TypeVar("T")

USERS = ("ann", "bob", "cat")
DAYS = 9
LOTS = 1_000
PRICE = 1_000_000
TERMINAL = ("filled", "cancelled")
MAX_RATE = 300_000_000


class Draw(Protocol):
    """Where choices come from."""

    def integer(self, low: int, high: int) -> int: ...

    def pick(self, choices: Sequence[T]) -> T: ...


def drawn_contract(draw: Draw) -> Contract:
    """Return terms small enough that every rounding and every limit is met often; the term is nine days."""
    step_ns = START_NS + draw.integer(1, DAYS - 1) * NS_PER_DAY
    return Contract(
        id="SMALL",
        symbol="TH1BTC",
        asset="TH1",
        kind="dividend_term",
        hash_rate_hs=10**12,
        lots_per_contract=draw.pick((30, 100)),
        tick_sat=draw.pick((1, 1000)),
        tranche_lots=LOTS,
        start_ns=START_NS,
        end_ns=START_NS + DAYS * NS_PER_DAY - draw.pick((0, 6 * 3_600 * NS_PER_S)),
        payout=Payout(draw.pick((PPS, FPPS, PRO_RATA)), 30_000, draw.pick((False, True)), 35 * 10**14, 7),
        margin=(
            MarginStep(START_NS, 250_000, 125_000),
            MarginStep(step_ns, draw.pick((400_000, 1_000_000)), draw.pick((200_000, 900_000))),
        ),
        collateral=(CollateralStep(START_NS, draw.pick((True, False))), CollateralStep(step_ns, False)),
        margin_call_ppm=1_500_000,
        lending=Lending(2, 30, 150_000, MAX_RATE, draw.pick((MARK, ENTRY_NOTIONAL))),
        maker_fee_ppm=draw.pick((1_000, 0)),
        taker_fee_ppm=2_000,
    )


def drawn_rules(draw: Draw) -> MarketRules:
    return MarketRules(
        participation_ppm=draw.pick((100_000, PPM)),
        half_spread_ppm=draw.pick((0, 5_000)),
        depth_levels=draw.pick((0, 2)),
        touch_fills=draw.pick((False, True)),
        loan_term_days=2,
        demand=draw.pick(((0, 0), (10**7, 600))),
    )


class Oracle:
    """What must be true, from postings, fills and blocks alone."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.deposited = 0
        self.income = 0
        self.balances: dict[str, int] = {}
        self.due: dict[tuple[str, str], Fraction] = {}
        self.paid: dict[tuple[str, str], int] = {}
        self.net = 0
        self.last_ns = 0
        self.kinds: set[str] = set()

    def lots(self, owner: str, stream: str) -> int:
        """Return what `owner` holds of the contract: `spot` is paid into the exchange wallet, `margin` into trading."""
        purses = ["exchange", "trading", "deposit", "lent"] if stream == "spot" else ["position", "owed"]
        if owner == "market":  # it has no margin position: what it borrowed lies among what it owns
            purses = [*purses, "owed"] if stream == "spot" else []
        return sum(self.balances.get(f"{owner}/{purse}/TH1", 0) for purse in purses)

    def take(self, moves: Sequence[Move]) -> None:
        """Take in new postings: sums for each transaction, order of time, and the dividends paid."""
        sums: dict[tuple[int, str], int] = {}
        for move in moves:
            assert move.time_ns >= self.last_ns, "time falls"
            self.last_ns = move.time_ns
            self.kinds.add(move.kind)
            for account, amount in ((move.source, -move.amount), (move.target, move.amount)):
                asset = account.rsplit("/", 1)[1]
                key = (move.transaction, asset)
                sums[key] = sums.get(key, 0) + amount
                self.balances[account] = self.balances.get(account, 0) + amount
                if move.kind == "dividend" and not account.startswith("venue/"):
                    owner, purse, _ = account.split("/")
                    stream = (owner, "margin" if purse == "trading" else "spot")
                    self.paid[stream] = self.paid.get(stream, 0) + amount
        assert not any(sums.values()), sums

    def block(self, block: Block, posted_sat: int) -> None:
        """Give every holder of record his exact share; the income is computed here once more, in fractions.

        Of the two numbers of blocks that a pool may have found, `posted_sat` tells which; how often is another test's
        matter.
        """
        contract, payout = self.contract, self.contract.payout
        if not contract.start_ns < block.time_ns <= contract.end_ns:
            return
        reward = block.subsidy_sat + (block.fees_sat if payout.basis != PPS else 0)
        difficulty = Fraction(DIFFICULTY_1_TARGET, block.target)
        hashes = difficulty * (Fraction(2**48, 65535) if payout.exact_hashes else 2**32)
        tranche = Fraction(contract.hash_rate_hs * contract.tranche_lots, contract.lots_per_contract)
        exact = tranche * block.interval_s * reward / hashes
        if payout.basis == PRO_RATA:
            least = (payout.pool_hs * block.interval_s / hashes).__floor__()
            each = reward * tranche / payout.pool_hs
            exact = next((n * each for n in (least, least + 1) if (n * each).__floor__() == posted_sat), least * each)
        income = exact.numerator // exact.denominator
        net = income - income * payout.fee_ppm // PPM
        self.income += income
        self.net += net
        for owner in (*USERS, "market"):
            for stream in ("spot", "margin"):
                share = Fraction(self.lots(owner, stream) * net, contract.tranche_lots)
                self.due[owner, stream] = self.due.get((owner, stream), Fraction(0)) + share

    def check(self) -> None:
        """Check conservation of bitcoin and contracts."""
        inside = sum(v for k, v in self.balances.items() if k.endswith("/BTC") and not k.startswith("world/"))
        assert inside == self.deposited + self.income, f"{inside} sat inside, {self.deposited} + {self.income} came in"
        issued = -self.balances.get("world/issuance/TH1", 0)
        net = sum(self.lots(owner, stream) for owner in (*USERS, "market") for stream in ("spot", "margin"))
        assert net == issued, f"long - short = {net}, issued {issued}"
        for account, balance in self.balances.items():
            owner, purse, asset = account.split("/")
            if owner in USERS and purse in ("exchange", "deposit", "lent"):
                assert balance >= 0, f"{account}: {balance}"
            if asset == "TH1" and purse in ("trading", "position"):
                assert balance >= 0, f"{account}: {balance}"

    def check_dividends(self) -> None:
        """After everything is settled: each holder has his exact total to within a satoshi, the venue has the rest."""
        for stream, exact in self.due.items():
            paid = self.paid.get(stream, 0)
            assert -Fraction(1, 2) < exact - paid < Fraction(3, 2), f"{stream}: {float(exact)} due, {paid} paid"
        assert sum(self.paid.values()) + self.balances.get("venue/dividends/BTC", 0) == self.net


class Walk:
    """One exchange, its users' draws, and the checks after every step."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.contract = drawn_contract(draw)
        self.rules = drawn_rules(draw)
        self.exchange = Exchange(self.contract, self.rules, START_NS)
        self.state = self.exchange.state
        self.oracle = Oracle(self.contract)
        self.journal: list[tuple[str, Any]] = []
        self.codes: set[str] = set()
        self.now = START_NS
        self.price = PRICE
        self.height = 320_000
        self.bar: Bar | None = None
        self.cid = 0
        self.steps = 0
        self._moves = self._fills = self._next_id = 0
        self._missing_sat = 0
        self._terminal: dict[int, tuple[str, int, int]] = {}
        self._loans: dict[int, tuple[int, int]] = {}
        self._take_in(False)
        if not self.chance(6):
            self._warm_up()
        else:
            self.command(Deposit(self.now, "ann", BTC, 30 * PRICE))
            self.order()

    def _warm_up(self) -> None:
        """Most walks begin on a market that trades and lends, with money in every wallet."""
        for user in USERS:
            self.command(Deposit(self.now, user, BTC, 30 * PRICE))
            for wallet in ("trading", "deposit"):
                self.command(Transfer(self.now, user, "exchange", wallet, BTC, self.draw.integer(1, 10 * PRICE)))
        self.event("on_quote", Quote(self.now, PRICE - 1_000, LOTS, PRICE + 1_000, LOTS), self.now)
        self._after_all_at_this_time()
        for asset, plenty in ((BTC, 10**8), (CONTRACT, LOTS)):
            self.event("on_swap_rate", SwapRate(self.now, asset, self.draw.integer(0, MAX_RATE), plenty), self.now)

    # Draws --------------------------------------------------------------------------------------------------

    def chance(self, one_in: int) -> bool:
        return self.draw.integer(1, one_in) == one_in

    def user(self) -> str:
        return "nobody" if self.chance(40) else self.draw.pick(USERS)

    def asset(self) -> int:
        return 7 if self.chance(40) else self.draw.pick((BTC, CONTRACT))

    def amount(self, asset: int) -> int:
        if self.chance(40):
            return self.draw.pick((0, -1, 1 << 70))
        return self.draw.integer(1, LOTS if asset == CONTRACT else 10 * PRICE)

    def near(self) -> int:
        """Return a price near the market's, seldom far from it, more seldom no price at all."""
        if self.chance(40):
            return self.draw.pick((-1, 1 << 70))
        price = self.price * (10_000 + self.draw.integer(-300, 300)) // 10_000
        if self.chance(12):
            price = self.price * self.draw.pick((1, 50, 200, 5000)) // 100
        return max(price // self.contract.tick_sat, 1) * self.contract.tick_sat

    # Steps --------------------------------------------------------------------------------------------------

    def wait(self) -> None:
        """Let time pass: mostly minutes, seldom over midnight or beyond."""
        self.now += self.draw.integer(0, 7_200) * NS_PER_S + self.draw.pick((0, 0, 1, 999_999_999))
        if self.chance(4):
            self.now += self.draw.integer(6, 40) * 3_600 * NS_PER_S

    def command(self, command: Command) -> int | Rejection:
        """Decide, submit, check; a refused command must leave everything as it was."""
        state = self.state
        if command.time_ns >= state.time_ns:
            self.exchange.reach(command.time_ns, RANK_STRATEGY)
            self._take_in(True)
        verdict = decide(state, command)
        wealth = self.wealth_sat()
        self._missing_sat = self.missing_sat()
        before = snapshot(state) if verdict is not None else None
        assert str(decide(state, command)) == str(verdict), "to decide has an effect"
        answer = self.exchange.submit(command)
        if isinstance(answer, Rejection):
            assert str(answer) == str(verdict)
            assert snapshot(state) == before, f"{answer} had an effect"
            self.codes.add(answer.code)
        else:
            assert verdict is None
            self.journal.append(("submit", command))
            if isinstance(command, Deposit):
                self.oracle.deposited += command.amount
            if isinstance(command, Withdraw):
                self.oracle.deposited -= command.amount
            self._check_wealth(command, wealth)
        self._take_in(False)
        return answer

    def wealth_sat(self) -> int:
        """Return what all users together are worth at the mark."""
        return sum(self.exchange.equity_sat(user) for user in USERS if user in self.state.accounts)

    def missing_sat(self) -> int:
        """Return by how much trading wallets are already under water: payments since the last mark may have done it."""
        found = (self.state.accounts[user] for user in USERS if user in self.state.accounts)
        return sum(max(0, -margin_equity_sat(self.state, account, self.state.time_ns)) for account in found)

    def _check_wealth(self, command: Command, before_sat: int) -> None:
        """At one mark and time a command makes users together no richer, but by what the venue absorbs or they bring.

        Each loan and each user may round by a satoshi.
        """
        brought = command.amount if isinstance(command, Deposit) else 0
        absorbed = sum(m.amount for m in self.state.ledger.moves[self._moves :] if m.kind == "deficit")
        gain = self.wealth_sat() - before_sat - brought - absorbed
        assert gain <= 20 + len(self.state.loans), f"{command} made the users {gain} sat richer"

    def event(self, name: str, event: Any, time_ns: int) -> None:
        """Feed one event of the world."""
        getattr(self.exchange, name)(event)
        self.journal.append((name, event))
        self._take_in(True, event if isinstance(event, Block) else None)
        assert self.state.time_ns == time_ns
        if name in ("on_quote", "on_bar_close"):
            check_margin(self.state)

    def deposit(self) -> None:
        asset = CONTRACT if self.chance(30) else BTC
        user = self.draw.pick(USERS)
        self.command(Deposit(self.now, user, asset, self.amount(asset)))
        if self.chance(2):
            free = self.state.balance(f"{user}/exchange/BTC")
            target = self.draw.pick(("trading", "trading", "deposit"))
            self.command(Transfer(self.now, user, "exchange", target, BTC, free))

    def withdraw(self) -> None:
        self.command(Withdraw(self.now, self.user(), self.asset(), self.amount(BTC)))

    def transfer(self) -> None:
        asset = self.asset()
        user = self.user()
        source, target = self.draw.pick(WALLETS), self.draw.pick((*WALLETS, "pocket"))
        amount = self.amount(asset)
        name = f"{user}/{source}/{'TH1' if asset else 'BTC'}"
        if self.chance(4):
            asset, source, target = CONTRACT, "exchange", self.draw.pick(("trading", "deposit"))
            name = f"{user}/exchange/TH1"
        if self.chance(2) and self.state.balance(name) > 0:
            amount = self.state.balance(name)
        self.command(Transfer(self.now, user, source, target, asset, amount))

    def claim(self) -> None:
        """Claim all of a long, a part of it, or what is none."""
        user = self.user()
        account = self.state.accounts.get(user)
        held = account.margin_lots(self.state.ledger) if account else 0
        lots = self.draw.pick((held, held // 2, 1, self.amount(CONTRACT)))
        if self.chance(3) and held > 0 and account is not None:
            cash = self.state.balance(f"{user}/exchange/BTC") - account.reserved[BTC]
            self.command(Transfer(self.now, user, "exchange", "trading", BTC, cash))
        asset, target = (BTC, "deposit") if self.chance(30) else (CONTRACT, "exchange")
        self.command(Transfer(self.now, user, "position", target, asset, lots))

    def order(self) -> None:
        """Place an order of any kind, sometimes one that was placed before."""
        if self.chance(20) and self.state.orders:
            again = self.state.orders[self.draw.pick(sorted(self.state.orders))]
            if not again.forced:
                size = again.command.size_lots + (0 if self.chance(2) else 1)
                retry = again.command._replace(time_ns=self.now, size_lots=size)
                answer = self.command(retry)
                same_day = retry.time_ns // NS_PER_DAY == again.command.time_ns // NS_PER_DAY
                if size == again.command.size_lots and same_day and isinstance(answer, int):
                    assert answer == again.id, "the same cid, day and body name another order"
                return
        self.cid += 1
        kind = self.draw.integer(0, 9)
        size = self.draw.integer(1, 200) * self.draw.pick((1, -1)) if not self.chance(30) else 5_000
        wallet = self.draw.pick(("exchange", "trading", "trading"))
        price = 0 if kind < 4 else self.near()
        close = kind in (0, 9) and self.chance(2)
        self.command(
            PlaceOrder(
                self.now - (1 if self.chance(40) else 0),
                self.user(),
                self.cid,
                "deposit" if self.chance(60) else wallet,
                0 if close else size,
                price,
                post_only=kind in (7, 8),
                reduce_only=kind in (1, 8) and self.chance(2),
                close=close,
                active_ns=self.now + (self.draw.integer(1, 7_200) * NS_PER_S if self.chance(5) else 0),
            )
        )

    def cancel(self) -> None:
        live = [order.id for order in self.state.live]
        which = live if live and not self.chance(3) else [*self.state.orders, 999_999]
        self.command(CancelOrder(self.now, self.user_of_order(self.draw.pick(which)), self.picked))

    def user_of_order(self, order_id: int) -> str:
        self.picked = order_id
        order = self.state.orders.get(order_id)
        return order.command.user if order is not None and not self.chance(8) else self.draw.pick(USERS)

    def offer(self) -> None:
        asset = self.asset()
        user = self.user()
        free = self.state.balance(f"{user}/deposit/{'TH1' if asset else 'BTC'}")
        amount = free if free and self.chance(2) else self.amount(asset)
        rate = self.draw.integer(0, MAX_RATE) if not self.chance(20) else MAX_RATE + 1
        self.command(PlaceOffer(self.now, user, asset, amount, rate, self.draw.pick((2, 2, 3, 30, 30, 1))))

    def cancel_offer(self) -> None:
        offers = [(o.lender, o.id) for pool in self.state.offers for o in pool if o.lender in USERS]
        user, offer = self.draw.pick(offers or [(self.draw.pick(USERS), 0)])
        self.command(CancelOffer(self.now, user, offer))

    def recall(self) -> None:
        loans = [(loan.lender, loan.id) for loan in self.state.loans.values() if loan.lender in USERS]
        user, loan = self.draw.pick(loans or [(self.draw.pick(USERS), 0)])
        self.command(RecallLoan(self.now, user, loan))

    def jump(self) -> None:
        """Move the outside price: mostly a little, seldom enough to ruin somebody."""
        change = self.draw.integer(-200, 200) if not self.chance(7) else self.draw.pick((-4_000, -1_500, 1_500, 8_000))
        self.price = min(max(self.price * (10_000 + change) // 10_000, PRICE // 4), 4 * PRICE)

    def quote(self) -> None:
        self.jump()
        half = self.price * self.draw.integer(0, 100) // 10_000
        size = self.draw.pick((0, 10, 100, 1000))
        self.event("on_quote", Quote(self.now, self.price - half, size, self.price + half + 1, size), self.now)

    def bar_edge(self) -> None:
        """Open a bar, or close the one that is open."""
        if self.bar is None:
            opens = self.price
            self.jump()
            low, high = sorted((opens, self.price))
            low -= low * self.draw.integer(0, 200) // 10_000
            high += high * self.draw.integer(0, 200) // 10_000
            close_ns = self.now + 3_600 * NS_PER_S
            volume = self.draw.pick((0, 100, 3_000))
            self.bar = Bar(self.now, close_ns, opens, high, low, self.price, volume)
            self.event("on_bar_open", self.bar, self.now)
        else:
            self.now = max(self.now, self.bar.close_ns)
            self.event("on_bar_close", self.bar._replace(close_ns=self.now), self.now)
            self.bar = None

    def swap_rate(self) -> None:
        asset = self.draw.pick((BTC, CONTRACT))
        available = self.draw.pick((0, 0, 200, 1_000)) if asset == CONTRACT else self.draw.pick((0, 10**6, 10**8))
        rate = self.draw.integer(0, MAX_RATE) if not self.chance(10) else 2 * MAX_RATE
        self._after_all_at_this_time()
        self.event("on_swap_rate", SwapRate(self.now, asset, rate, available), self.now)

    def _after_all_at_this_time(self) -> None:
        """A block or swap rate would rank before what has happened now: it comes a nanosecond later."""
        self.now += 1

    def block(self) -> None:
        self.height += 1
        target = DIFFICULTY_1_TARGET // self.draw.integer(10**6, 10**9)
        interval = self.draw.integer(0, 7_200)
        fees = self.draw.integer(0, 10**8)
        self._after_all_at_this_time()
        block = Block(self.now, self.height, 0, interval, 0, target, 25 * SAT_PER_BTC, fees)
        self.event("on_block", block, self.now)

    # Checks -------------------------------------------------------------------------------------------------

    def _take_in(self, world: bool, block: Block | None = None) -> None:
        """Check everything that the last step did; `world`: the outside market may have taken part in it."""
        state = self.state
        self.steps += 1
        moves = state.ledger.moves[self._moves :]
        if block is None:
            self.oracle.take(moves)
        else:  # the block comes after what fell due before it
            at = next((i for i, move in enumerate(moves) if move.kind == "block"), len(moves))
            self.oracle.take(moves[:at])
            self._record_block(moves[at:], block)
            self.oracle.take(moves[at:])
        self.oracle.check()
        check(state, self._moves, every_order=self.steps % 10 == 0)
        self._check_fills(state.fills[self._fills :], moves, world)
        self._check_history()
        self._moves = len(state.ledger.moves)
        self._fills = len(state.fills)

    def _record_block(self, moves: Sequence[Move], block: Block) -> None:
        before = self.oracle.income
        posted = sum(move.amount for move in moves if move.kind == "block")
        self.oracle.block(block, posted)
        assert posted == self.oracle.income - before, "the block's income"

    def _check_fills(self, fills: Sequence[Fill], moves: Sequence[Move], world: bool) -> None:
        state, contract = self.state, self.contract
        loss = self._missing_sat
        for fill in fills:
            order = state.orders[fill.order_id]
            limit = order.command.price_sat
            assert order.command.user == fill.user and order.command.wallet == fill.wallet
            assert fill.size_lots * order.size_lots > 0
            assert limit == 0 or (fill.price_sat <= limit if fill.size_lots > 0 else fill.price_sat >= limit)
            amount = Fraction(abs(fill.size_lots) * fill.price_sat, contract.lots_per_contract)
            whole = (amount + Fraction(1, 2)).__floor__()
            ppm = contract.maker_fee_ppm if fill.maker else contract.taker_fee_ppm
            assert fill.fee_sat == -(-whole * ppm // PPM), fill
            buys = fill.size_lots > 0
            market = market_price_sat(state, buys)
            worse = fill.price_sat > market if buys else fill.price_sat < market
            if not world and worse:
                assert limit, "a market order got less from a user than the market offered"
            price = market if worse else fill.price_sat
            loss += abs(fill.size_lots * (price - state.mark_sat)) // contract.lots_per_contract + 2 * fill.fee_sat + 3
            assert fill.maker or not order.command.post_only, "a post-only order took"
        deficit = sum(move.amount for move in moves if move.kind == "deficit")
        if not world:
            with_market = [m for m in moves if m.kind == "trade" and "market/" in m.source + m.target]
            assert not with_market, "an order met the market at the event it was placed at"
            assert sum(fill.size_lots for fill in fills) == 0, "users traded with nobody"
            assert deficit == 0 or fills, "a command alone left a deficit"
            assert deficit <= loss
        for fill in fills:
            if state.orders[fill.order_id].command.active_ns > fill.time_ns:
                raise AssertionError(f"{fill} before the order reached the venue")
        if state.expired and fills:
            assert fills[-1].time_ns < contract.end_ns
        self._check_opened(fills)

    def _check_opened(self, fills: Sequence[Fill]) -> None:
        """Whoever opened at this event, and closed nothing, has the initial margin for what he holds now."""
        state = self.state
        for user in {fill.user for fill in fills if fill.wallet == "trading"}:
            sizes = [fill.size_lots for fill in fills if fill.user == user and fill.wallet == "trading"]
            lots = state.accounts[user].margin_lots(state.ledger)
            if not lots or any(size * lots < 0 for size in sizes) or abs(lots) < abs(sum(sizes)):
                continue
            value = Fraction(abs(lots) * state.mark_sat, self.contract.lots_per_contract)
            equity = margin_equity_sat(state, state.accounts[user], state.time_ns)
            assert equity >= value * state.initial_ppm / PPM - 1, f"{user} opened {sizes} with {equity} sat"

    def _check_history(self) -> None:
        state = self.state
        for order_id, last in list(self._terminal.items())[-40:]:
            order = state.orders[order_id]
            assert (order.status, order.filled_lots, order.cancelled_lots) == last, "a final order changed"
        for order_id in range(self._next_id, state.next_id):
            order_ids = (order_id in state.orders, order_id in state.loans)
            assert sum(order_ids) <= 1
        self._next_id, last_id = state.next_id, self._next_id
        assert state.next_id >= last_id, "ids fall"
        for order in state.orders.values():
            if order.status in TERMINAL and order.id not in self._terminal:
                self._terminal[order.id] = (order.status, order.filled_lots, order.cancelled_lots)
        for loan in state.loans.values():
            assert loan.lender != loan.borrower
            assert loan.rate_ppb_day <= MAX_RATE
        loans = {loan.id: (loan.paid_to_s, loan.amount) for loan in state.loans.values()}
        for loan_id, (paid_to_s, amount) in loans.items():
            before = self._loans.get(loan_id)
            assert before is None or (paid_to_s >= before[0] and amount <= before[1]), "a period paid twice"
        self._loans = loans

    def finish(self) -> None:
        """Post everything that has accrued and check dividends to the satoshi."""
        self.exchange.settle()
        self._take_in(True)
        self.oracle.check_dividends()

    def replayed(self) -> Exchange:
        """Return a fresh exchange that was given what this one accepted."""
        exchange = Exchange(self.contract, self.rules, START_NS)
        for name, event in self.journal:
            getattr(exchange, name)(event)
        exchange.reach(self.state.time_ns, RANK_STRATEGY)
        return exchange


STEPS: tuple[tuple[int, Callable[[Walk], None]], ...] = (
    (20, Walk.order),
    (9, Walk.quote),
    (6, Walk.bar_edge),
    (4, Walk.block),
    (6, Walk.wait),
    (4, Walk.deposit),
    (4, Walk.swap_rate),
    (3, Walk.transfer),
    (1, Walk.claim),
    (3, Walk.offer),
    (3, Walk.cancel),
    (1, Walk.cancel_offer),
    (2, Walk.recall),
    (1, Walk.withdraw),
)


class WatchedInterest:
    """Stands in for `interest_sat` in the loan market and checks each call in fractions; use as a context."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> WatchedInterest:
        setattr(lending, "interest_sat", self._watched)  # noqa: B010 - a module's import is not for assignment
        return self

    def __exit__(self, *_: object) -> None:
        setattr(lending, "interest_sat", interest_sat)  # noqa: B010

    def _watched(self, value_sat: int, rate_ppb_day: int, seconds: int, carry: int) -> tuple[int, int]:
        interest, rest = interest_sat(value_sat, rate_ppb_day, seconds, carry)
        unit = Fraction(1, 10**9 * 86_400)
        exact = Fraction(value_sat) * Fraction(rate_ppb_day, 10**9) * Fraction(seconds, 86_400) + carry * unit
        assert interest + rest * unit == exact and 0 <= rest * unit < 1
        assert seconds > 0
        self.calls += 1
        return interest, rest
