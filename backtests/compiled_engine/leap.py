"""A session that leaps: the core itself at every event that matters, machine code over the events in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from backtests.compiled_engine.journey import Accruing, Departure, Landing
from backtests.compiled_engine.prepared import MOST, Prepared
from backtests.compiled_engine.wide import MOST_QUOTIENT, wrapped
from bot.core.accrual import INDEX_BITS
from bot.core.events import BTC, CONTRACT, Block
from bot.core.ledger import MARKET
from bot.core.lending import market_lots, on_swap_rate, pass_swap_rates
from bot.core.margin import Interest, Standing, standing
from bot.core.settlement import post_block
from bot.core.state import Offer
from bot.core.units import NS_PER_DAY, NS_PER_S, PPM
from bot.model.fair_value import FairValue
from bot.session import Session, SessionSettings, Strategy
from strategies.view import AWAKE, NEVER, SLEEPLESS, Decided, Target, Wake


class LateValue:
    """The model of a session that is hardly ever asked: it is made, and taught the blocks, when somebody does."""

    def __init__(self, prepared: Prepared) -> None:
        self._plan = prepared.plan
        self._blocks = prepared.passages.blocks
        self._difficulty = prepared.columns.difficulty
        self._now = (-1, 0.0)
        self._taught = 0
        self._value: FairValue | None = None
        self.seen = 0
        """How many blocks have come."""

    def on_block(self, block: Block) -> None:
        """Let a block have come."""
        self.seen += 1

    def stand_at(self, known_ns: int, fair_sat: float) -> None:
        """Know what the model says at the present event: it was computed beforehand."""
        self._now = (known_ns, fair_sat)

    def value_sat(self, time_ns: int) -> float:
        """Return FairValue.value_sat."""
        known_ns, fair_sat = self._now
        return fair_sat if time_ns == known_ns else self._model().value_sat(time_ns)

    @property
    def difficulty(self) -> float:
        """Return FairValue.difficulty."""
        return float(self._difficulty[self.seen])

    def __getattr__(self, name: str) -> Any:
        """Return what the model, taught all that has come, has by that name."""
        return getattr(self._model(), name)

    def _model(self) -> FairValue:
        if self._value is None:
            self._value = self._plan.value()
        for block in self._blocks[self._taught : self.seen]:
            self._value.on_block(block)
        self._taught = self.seen
        return self._value


class Feed:
    """Hands a session blocks and swap rates, one by one or a stretch of them at once."""

    def __init__(self, prepared: Prepared, session: LeapingSession) -> None:
        self._world = prepared.world
        self._passages = prepared.passages
        self._session = session
        self.blocks = self.rates = 0
        """How many of each have come."""

    @property
    def rate_ns(self) -> int:
        """When the next swap rate comes."""
        rates = self._passages.rates
        return rates[self.rates].time_ns if self.rates < len(rates) else NEVER

    def up_to(self, time_ns: int) -> None:
        """Feed every event at or before `time_ns`."""
        world, at = self._world, self.blocks + self.rates
        while at < len(world) and world[at][0] <= time_ns:
            event = world[at][2]
            if isinstance(event, Block):
                self._session.on_block(event)
                self.blocks += 1
            else:
                self._session.on_swap_rate(event)
                self.rates += 1
            at += 1

    def pass_to(self, blocks: int, rates: int) -> None:
        """Let so many blocks and rates have come, while no user offered anything and nothing was due."""
        passages, session = self._passages, self._session
        state, ledger = session.state, session.state.ledger
        begun = ledger.transaction - passages.begun[self.blocks + self.rates]
        if blocks > self.blocks:
            if ledger.keep_moves:
                self._post(self.blocks, blocks, begun)
            else:
                fees, nets = passages.fees_sat, passages.nets_sat
                post_block(state, 0, fees[blocks] - fees[self.blocks], nets[blocks] - nets[self.blocks])
            state.index, state.index_carry = passages.index[blocks], passages.carry[blocks]
            session.late.seen = blocks
            session.view.see_blocks(passages.blocks[max(self.blocks, blocks - 144) : blocks])
        if rates > self.rates:
            self._replace_offers(rates)
        ledger.transaction = begun + passages.begun[blocks + rates]
        self.blocks, self.rates = blocks, rates

    def _post(self, from_block: int, to_block: int, begun: int) -> None:
        passages, state = self._passages, self._session.state
        fees, nets = passages.fees_sat, passages.nets_sat
        for k in range(from_block, to_block):
            state.ledger.transaction = begun + passages.block_begun[k]
            post_block(state, passages.blocks[k].time_ns, fees[k + 1] - fees[k], nets[k + 1] - nets[k])

    def _replace_offers(self, to_rate: int) -> None:
        """Take in the last row of each asset; those before it were replaced unseen."""
        passages, state, at = self._passages, self._session.state, self.rates
        for row in sorted({passages.last[asset][to_rate] for asset in (BTC, CONTRACT)}):
            if row >= at:
                pass_swap_rates(state, row - at, passages.offers[row] - passages.offers[at])
                on_swap_rate(state, passages.rates[row])
                at = row + 1


def no_more() -> int:
    """Return 0: no event was passed by."""
    return 0


class LeapingSession(Session):
    """A session that can say where it stands, and be set down further on."""

    __slots__ = ("highest_passed_sat", "late")

    def __init__(self, settings: SessionSettings, strategy: Strategy, late: LateValue) -> None:
        super().__init__(settings, strategy, cast(FairValue, late))
        self.late = late
        self.highest_passed_sat: Callable[[], int] = no_more
        """The highest equity of the events that were passed by unseen."""

    @property
    def peak_sat(self) -> int:
        """The highest equity so far, that of events that were passed by included."""
        return max(self._peak_sat, self.highest_passed_sat())

    def departure(self, at: int, prepared: Prepared, feed: Feed) -> Departure | None:
        """Return where the session stands before event `at`; None if more than the mark may move, or 64 bits are few.

        A bar or quote that is not leaped over is taken in by the core itself: slower, and the same.
        """
        idle = self.trader.reached
        if idle is None or self._is_eventful():
            return None
        state, limits = self.state, self.settings.limits
        worth = standing(state, self._account)
        stop_ns = self.exchange.next_due_ns()
        if any(self._account.offered):
            stop_ns = min(feed.rate_ns, stop_ns)
        if worth.lent is not None or not _fits(worth, state.time_ns, stop_ns, prepared):
            return None  # the trader looks after loans to others at every event
        (btc_sat, btc_ppb_day), (contract_lots, contract_ppb_day) = map(_market_offer, state.offers)
        low_edge, high_edge, asleep_until_ns = (self._sleeping_target() or AWAKE).wake or SLEEPLESS
        return Departure(
            at=at,
            stop=prepared.count,
            stop_ns=stop_ns,
            stale_after_ns=limits.stale_after_ns,
            before_ns=self.last_market_ns,
            blocks_seen=feed.blocks,
            rates_seen=feed.rates,
            peak_sat=self._peak_sat,
            floor_ppm=self._floor_ppm,
            halted=self.trader.halted,
            all_sat=worth.all_sat,
            cash_sat=worth.cash_sat,
            spot_lots=worth.spot_lots,
            margin_lots=worth.margin_lots,
            spot_index=worth.spot_index,
            spot_carry=worth.spot_carry,
            margin_index=worth.margin_index,
            margin_carry=worth.margin_carry,
            collateral_lots=worth.collateral_lots,
            has_owed=worth.owed is not None,
            owed=_accruing(worth.owed),
            denominator=worth.owed.denominator if worth.owed is not None else 1,
            initial_ppm=state.initial_ppm,
            maintenance_ppm=state.maintenance_ppm,
            contract_is_collateral=state.contract_is_collateral,
            btc_rate_ppb_day=state.market_rate_ppb_day[BTC],
            contract_rate_ppb_day=state.market_rate_ppb_day[CONTRACT],
            btc_offer_sat=btc_sat,
            btc_offer_ppb_day=btc_ppb_day,
            contract_offer_lots=contract_lots,
            contract_offer_ppb_day=contract_ppb_day,
            deliverable_lots=min(state.contract.tranche_lots - state.lent_lots, market_lots(state)),
            idle_lots=idle.position_lots,
            idle_limit_sat=idle.limit_price_sat,
            idle_financed=idle.financed,
            idle_lend_lots=idle.lend_lots,
            idle_lend_rate_ppb_day=idle.lend_rate_ppb_day,
            most_lots=limits.max_position_lots,
            asleep_until_ns=asleep_until_ns,
            low_edge=float(low_edge),
            high_edge=float(high_edge),
        )

    def land(self, landing: Landing, taken: int, prepared: Prepared, feed: Feed) -> None:
        """Stand where the leap ended, after `taken` events, as if each of them had been taken in."""
        columns, last, state = prepared.columns, landing.at - 1, self.state
        feed.pass_to(int(columns.blocks_seen[last]), int(columns.rates_seen[last]))
        known_ns = int(columns.known_ns[last])
        is_bars = bool(prepared.plan.history.bars)
        if not is_bars:
            state.bid_sat, state.ask_sat = int(columns.bid_sat[last]), int(columns.ask_sat[last])
        self._tell(known_ns, int(columns.mark_sat[last]), 2 * taken if is_bars else taken)
        self._peak_sat = landing.peak_sat
        if landing.asked:
            answer = landing.answer
            wake = Wake(answer.low_edge, answer.high_edge, answer.at_ns) if answer.has_wake else None
            target = Target(*answer[:5])._replace(wake=wake)
            sleeps = wake is not None and landing.asleep_until_ns == wake.at_ns  # else a swap rate came after it
            self._last = Decided(target, self._situation()) if sleeps else None
            assert self.trader.is_idle(target), f"{target} is not what was reached"


def _market_offer(pool: list[Offer]) -> tuple[int, int]:
    """Return what the market offers and at which rate; it has one offer of each asset at most."""
    return next(((o.remaining, o.rate_ppb_day) for o in pool if o.lender == MARKET), (0, 0))


def _accruing(interest: Interest | None) -> Accruing:
    if interest is None:
        return Accruing(0, 0, 0, 0.0, 0, 0, 0.0)
    fixed_paid, marked_paid = interest.fixed_paid, interest.marked_paid
    return Accruing(
        interest.from_s,
        interest.fixed,
        wrapped(fixed_paid),
        float(fixed_paid),
        interest.marked,
        wrapped(marked_paid),
        float(marked_paid),
    )


def _fits(worth: Standing, now_ns: int, stop_ns: int, prepared: Prepared) -> bool:
    """Return whether every number of the leap stays inside 64 bits; prices reach a 64th above the highest."""
    contract = worth.contract
    price_sat = prepared.highest_sat + prepared.highest_sat // 64
    most_sat = abs(worth.all_sat) + abs(worth.cash_sat)
    lots = abs(worth.spot_lots) + abs(worth.margin_lots) + abs(worth.collateral_lots)
    most_sat += 2 * lots * price_sat // contract.lots_per_contract + (lots * prepared.passages.index[-1] >> INDEX_BITS)
    if worth.owed is not None:
        until_s = min(stop_ns, now_ns + 40 * NS_PER_DAY) // NS_PER_S + 7_200
        due_sat = worth.owed.due_sat(price_sat, until_s)
        if max(worth.owed.fixed, worth.owed.marked) > MOST or due_sat > MOST_QUOTIENT:
            return False
        most_sat += due_sat
    return most_sat * max(PPM, contract.margin_call_ppm) < MOST
