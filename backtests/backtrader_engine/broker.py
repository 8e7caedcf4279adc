"""backtrader's broker interface over one session of the exchange, and the strategy shell that asks it to decide."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import backtrader as bt

from backtests.backtrader_engine.commission import CoreCommission
from backtests.backtrader_engine.feed import MarketFeed, market_events
from backtests.backtrader_engine.refusals import ORDER_OPTIONS, REFUSED, refused, whole
from backtests.plan import Plan, result_of
from backtests.reference import Feed
from backtests.result import RunResult
from bot.core.events import BTC, Bar, Fill
from bot.core.margin import free_margin_sat
from bot.core.order import EXCHANGE, TRADING, CancelOrder, Command, Order, PlaceOrder, Rejection, Transfer
from bot.core.order import FILLED as CORE_FILLED
from bot.session import Session

OWN_CIDS: Final = 1 << 32
"""Where the ids of a user's own orders start: beyond those of the trader."""
_MARGIN_CODES: Final = frozenset({"NOT_ENOUGH_BALANCE", "NOT_ENOUGH_MARGIN", "NO_FUNDING"})


class CoreBroker(bt.BrokerBase):  # type: ignore[misc]
    """backtrader's broker interface over one session of the exchange.

    A buy or sell order of a user's own strategy closes what is opposite first: it goes to the trading wallet when
    it reduces a margin position or opens a short, else to the exchange wallet; `wallet="trading"` buys on margin.
    Bitcoin is moved to where the order needs it. `post_only` and `reduce_only` can be given too. A refused order is
    reported as Margin (money, margin or loans are lacking) or Rejected, with the reason in `order.info.reason`.
    """

    def __init__(self, plan: Plan, marks_itself: bool = False) -> None:
        super().__init__()
        self.plan = plan
        self.comminfo = {None: CoreCommission(plan)}
        self._marks_itself = marks_itself
        self.startingcash = plan.settings.deposit_sat

    # The run ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a fresh session. Raises UnsupportedError for a Cerebro set up in a way that the core lacks."""
        engine = self.cerebro
        if len(engine.datas) != 1 or not isinstance(engine.datas[0], MarketFeed) or engine.datas[0].plan != self.plan:
            raise refused("another feed, or several", "a session trades one contract: use cerebro(plan) as it is")
        if engine.p.cheat_on_open:
            raise refused("cheat_on_open", "a decision fills at the next event at the earliest")
        if engine._dooptimize:
            raise refused("optstrategy", "a session belongs to one run: make a Cerebro for each plan")
        self.data = engine.datas[0]
        self.session: Session = self.plan.session()
        self._trader_submit = self.session.trader.submit
        self.session.trader.submit = self._submit
        self._feed = Feed(self.session, self.plan.world())
        self._events = market_events(self.plan)
        self._at = 0
        self._orders: dict[int, Any] = {}
        self._core_ids: dict[int, int] = {}
        self._fills_seen = 0
        self._position = bt.Position()
        self._notices: deque[Any] = deque()
        self._owner: Any = None
        self._cid = OWN_CIDS
        self.is_finished = False

    def next(self) -> None:
        """Take in everything up to the present line; report what came of the orders."""
        session, feed = self.session, self._feed
        if self._at == len(self._events):
            self._finish()
            return
        event = self._events[self._at]
        self._at += 1
        if isinstance(event, Bar):
            feed.up_to(event.time_ns)
            session.on_bar_open(event)
            feed.up_to(event.close_ns)
            session.on_bar_close(event)
        else:
            feed.up_to(event.time_ns)
            session.on_quote(event)
        if self._orders or self._fills_seen != len(session.state.fills):
            self._report()
        if session.state.expired:
            self._close_at_expiry()
        elif self._marks_itself:
            session.mark()

    def decide(self, owner: Any) -> None:
        """Let the plan's strategy decide; `owner` is who its orders belong to."""
        if self._marks_itself or (self._owner is not None and self._owner is not owner):
            raise refused("more than one strategy", "a session belongs to one: use cerebro(plan, strategy)")
        self._owner = owner
        if not self.is_finished:
            self.session.decide()

    def _finish(self) -> None:
        if self.is_finished:
            return
        self._feed.up_to(self.plan.end_ns)
        self.session.finish(self.plan.end_ns)
        self.is_finished = True
        self._report()
        if self.session.state.expired:
            self._close_at_expiry()

    def stop(self) -> None:
        """Bring a run that was stopped early to its end, so that its postings are complete."""
        self._finish()

    def result(self) -> RunResult:
        """Return the result of the run."""
        return result_of(self.session, self.plan, "backtrader")

    # What backtrader asks -----------------------------------------------------------------------------------

    def getcash(self) -> int:
        """Return all bitcoin, proceeds of shorts included and loans deducted, in satoshi."""
        account = self.session.state.accounts[self.session.user]
        account.refresh(self.session.state.ledger)
        return account.cached_sat

    def getvalue(self, datas: Any = None) -> int:
        """Return the account's worth at the mark, in satoshi; of the position only when `datas` are given."""
        exchange = self.session.exchange
        return exchange.value_sat(self._position.size) if datas else exchange.equity_sat(self.session.user)

    get_cash, get_value = getcash, getvalue

    def getposition(self, data: Any) -> Any:
        """Return the net position: lots owned, lent out and on margin, at their mean price."""
        return self._position

    def get_notification(self) -> Any:
        """Return the next report on an order, None when there is none."""
        return self._notices.popleft() if self._notices else None

    def get_orders_open(self, safe: bool = False) -> list[Any]:
        """Return the orders that may still trade; copies when `safe`."""
        return [order.clone() if safe else order for order in self._orders.values()]

    def orderstatus(self, order: Any) -> int:
        """Return the present status of an order."""
        known = self._orders.get(self._core_ids.get(order.ref, -1))
        return int((known or order).status)

    # Orders -------------------------------------------------------------------------------------------------

    def buy(self, owner: Any, data: Any, size: float, price: float | None = None, **options: Any) -> Any:
        """Send a buy order of `size` lots and return it; see the class for options and for what is refused."""
        return self._place(owner, whole("size", size), price, **options)

    def sell(self, owner: Any, data: Any, size: float, price: float | None = None, **options: Any) -> Any:
        """Send a sell order of `size` lots and return it; see the class for options and for what is refused."""
        return self._place(owner, -whole("size", size), price, **options)

    def cancel(self, order: Any) -> bool:
        """Cancel what is left of an order; return whether there was anything."""
        core_id = self._core_ids.get(order.ref)
        if core_id is None:
            return False
        answer = self.command(CancelOrder(self.session.state.time_ns, self.session.user, core_id))
        self._report()
        return not isinstance(answer, Rejection)

    def command(self, command: Command) -> int | Rejection:
        """Send any command of bot.core.order, such as a transfer or an offer of a loan, at the session's time."""
        return self.session.exchange.submit(command)

    def _place(
        self,
        owner: Any,
        lots: int,
        price: float | None,
        exectype: int | None = None,
        wallet: str | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        tradeid: int = 0,
        transmit: bool = True,
        **others: Any,
    ) -> Any:
        if exectype not in (None, bt.Order.Market, bt.Order.Limit):
            raise refused(f"order type {bt.Order.ExecTypes[exectype]}", "send Market or Limit")
        for name in ORDER_OPTIONS:
            if others.pop(name, None) is not None:
                raise refused(f"{name} in an order", "send and cancel plain Market and Limit orders")
        if not transmit:
            raise refused("transmit=False in an order", "brackets are not known: send each order by itself")
        limit_sat = whole("price", price or 0) if exectype == bt.Order.Limit else 0
        wallet = wallet or self._wallet(lots)
        if not reduce_only:
            self._fund(wallet, lots, limit_sat)
        session, self._cid = self.session, self._cid + 1
        now, user, latency_ns = session.state.time_ns, session.user, self.plan.settings.limits.latency_ns
        command = PlaceOrder(
            now, user, self._cid, wallet, lots, limit_sat, post_only, reduce_only, active_ns=now + latency_ns
        )
        order = self._new_order(owner, lots, limit_sat, tradeid, others)
        self._enter(order, self.command(command))
        return order

    def _wallet(self, lots: int) -> str:
        """Return the wallet whose position the order closes, else the exchange wallet; shorts open on margin."""
        account, ledger = self.session.state.accounts[self.session.user], self.session.state.ledger
        margin = account.margin_lots(ledger)
        opens_short = lots < 0 and account.spot_lots(ledger) == 0
        return TRADING if lots * margin < 0 or opens_short else EXCHANGE

    def _fund(self, wallet: str, lots: int, limit_sat: int) -> None:
        """Move free bitcoin to the trading wallet, or what an outright purchase lacks to the exchange wallet."""
        state = self.session.state
        account = state.accounts[self.session.user]
        free, now = state.free(account, EXCHANGE, BTC), state.time_ns
        if wallet == TRADING and free > 0:
            self.command(Transfer(now, account.name, EXCHANGE, TRADING, BTC, free))
        elif wallet == EXCHANGE and lots > 0:
            cost = self.comminfo[None].getoperationcost(lots, limit_sat or state.mark_sat)
            cost += cost // 50  # fee, and room for the next price
            missing = min(cost - free, free_margin_sat(state, account, now))
            if missing > 0:
                self.command(Transfer(now, account.name, TRADING, EXCHANGE, BTC, missing))

    def _submit(self, command: Command) -> int | Rejection:
        """Send a command of the plan's trader, whose orders become backtrader's."""
        answer = self._trader_submit(command)
        if isinstance(command, PlaceOrder):
            self._enter(self._new_order(self._owner, command.size_lots, command.price_sat), answer)
        return answer

    def _new_order(self, owner: Any, lots: int, limit_sat: int, tradeid: int = 0, notes: Any = None) -> Any:
        kind = bt.BuyOrder if lots > 0 else bt.SellOrder
        exectype = bt.Order.Limit if limit_sat else bt.Order.Market
        order = kind(
            owner=owner, data=self.data, size=abs(lots), price=limit_sat or None, exectype=exectype, tradeid=tradeid
        )
        order.addcomminfo(self.comminfo[None])
        order.addinfo(**(notes or {}))
        return order

    def _enter(self, order: Any, answer: int | Rejection) -> None:
        order.submit(self)
        self._notices.append(order.clone())
        if isinstance(answer, Rejection):
            order.addinfo(reason=str(answer))
            if answer.code in _MARGIN_CODES:
                order.margin()
            else:
                order.reject(self)
        else:
            order.accept(self)
            self._orders[answer] = order
            self._core_ids[order.ref] = answer
        self._notices.append(order.clone())

    # What came of them --------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Report new fills, then the orders that have ended."""
        state = self.session.state
        for fill in state.fills[self._fills_seen :]:
            order = self._orders.get(fill.order_id) or self._venue_order(state.orders[fill.order_id])
            self._execute(order, fill)
        self._fills_seen = len(state.fills)
        for core_id, order in list(self._orders.items()):
            core = state.orders[core_id]
            if core.is_live:
                continue
            del self._orders[core_id]
            if core.status != CORE_FILLED:
                order.addinfo(reason=core.reason)
                _end(order, core.reason)
            elif order.status == bt.Order.Completed:
                continue  # reported with its last fill
            else:
                order.completed()  # a reduce-only order that was cut to what was left to reduce
            self._notices.append(order.clone())

    def _venue_order(self, core: Order) -> Any:
        """Return backtrader's order for one that the venue placed itself: a liquidation, or a cover."""
        order = self._new_order(self._owner, core.size_lots, 0, notes={"forced": True})
        self._enter(order, core.id)
        return order

    def _execute(self, order: Any, fill: Fill) -> None:
        commission, day = self.comminfo[None], self.data.datetime[0]
        size, price = fill.size_lots, fill.price_sat
        price_before = self._position.price
        psize, pprice, opened, closed = self._position.update(size, price, self.data.datetime.datetime())
        closed_fee = fill.fee_sat * abs(closed) // abs(size)  # rounded down, the rest goes to what was opened
        order.execute(
            day,
            size,
            price,
            closed,
            commission.getvaluesize(-closed, price_before),
            closed_fee,
            opened,
            commission.getvaluesize(opened, price),
            fill.fee_sat - closed_fee,
            None,
            commission.profitandloss(-closed, price_before, price),
            psize,
            pprice,
        )
        self._notices.append(order.clone())

    def _close_at_expiry(self) -> None:
        """Report that the position ended worthless, as an order at price 0: backtrader closes trades by orders."""
        lots = self._position.size
        if lots == 0:
            return
        state = self.session.state
        order = self._new_order(self._owner, -lots, 0, notes={"expiry": True})
        self._enter(order, 0)
        del self._orders[0]
        self._execute(order, Fill(state.time_ns, 0, self.session.user, EXCHANGE, -lots, 0, 0, 0, maker=False))


class CoreStrategy(bt.Strategy):  # type: ignore[misc]
    """The plan's strategy as backtrader sees it: at each line it lets the session decide."""

    def next(self) -> None:
        """Decide on what is known at this line."""
        self.broker.decide(self)

    def prenext(self) -> None:
        """Decide also while indicators that a user has added are not ready: the strategy does not read them."""
        self.next()


def _end(order: Any, reason: str) -> None:
    """Give an order that ended unfilled backtrader's word for why."""
    if reason in _MARGIN_CODES:
        order.margin()
    else:
        order.cancel()
        if reason == "EXPIRED":
            order.status = bt.Order.Expired


def _refusing(name: str, why: str) -> Any:
    def refuse(broker: CoreBroker, *_: Any, **__: Any) -> None:
        raise refused(name, why)

    return refuse


for _name, _why in REFUSED.items():
    setattr(CoreBroker, _name, _refusing(_name, _why))
