"""The report: whole, escaped, alone, and with the attribution's numbers in it."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from backtests.attribution import attribute
from backtests.metrics import measure
from backtests.output import SIMULATED, btc_text
from backtests.report.page import MarketSeries, ReportInput, render
from backtests.report.plots import COLUMNS, HEIGHT, WIDTH, Span, bars, line, runs, scale, stack, thin, time_ticks
from backtests.result import Observation, RunResult
from bot.core.contract import Contract, Lending, Payout
from bot.core.events import Fill, Mark, Notice, Posting
from bot.core.units import NS_PER_DAY, NS_PER_S, SAT_PER_BTC, fee_sat, notional_sat

START_NS = 1_410_739_200 * NS_PER_S  # 2014-09-15 00:00 UTC
HOUR_NS = 3_600 * NS_PER_S
CONTRACT = Contract(
    id="TH1BTC-2014Q4",
    symbol="TH1BTC",
    asset="TH1",
    kind="dividend_term",
    hash_rate_hs=10**12,
    lots_per_contract=100,
    tick_sat=10_000,
    tranche_lots=10_000,
    start_ns=START_NS,
    end_ns=START_NS + 91 * NS_PER_DAY,
    payout=Payout("pps", 30_000, False, 0, 0),
    margin=(),
    collateral=(),
    margin_call_ppm=1_500_000,
    lending=Lending(2, 30, 150_000, 7_500_000, "mark"),
    maker_fee_ppm=1_000,
    taker_fee_ppm=2_000,
)


class FakeMarket:
    """Ninety-one days of a made-up market, marked every `step_ns`: the ground of every fake strategy."""

    def __init__(self, days: int, step_ns: int) -> None:
        draw = random.Random(2014)
        self.times = [START_NS + k * step_ns for k in range(1, days * NS_PER_DAY // step_ns)]
        self.end_ns = START_NS + days * NS_PER_DAY
        difficulty, self.difficulty = 29.83e9, []
        for epoch in range(-1, days // 12 + 1):
            self.difficulty.append((START_NS + epoch * 12 * NS_PER_DAY + 7 * NS_PER_DAY, difficulty))
            difficulty *= 1 + draw.uniform(-0.01, 0.13)
        self.fair, self.price, premium = [], [], 0.45
        scale_step = math.sqrt(step_ns / HOUR_NS)
        for time_ns in self.times:
            left = (self.end_ns - time_ns) / NS_PER_DAY / 91
            fair = 1.32 * left ** (1.15 + 0.05 * math.sin(left * 25))
            premium += (0.22 - premium) * 0.01 * scale_step + draw.gauss(0, 0.02) * scale_step
            self.fair.append(round(fair * SAT_PER_BTC))
            self.price.append(max(10_000, round(fair * (1 + premium) * 1e4) * 10_000))
        self.dividends = [
            (START_NS + k * HOUR_NS // 6, 8_970 + draw.randrange(40) - k // 20) for k in range(1, days * 144 + 1)
        ]
        self.rates = []
        for k in range(days * 4):
            squeeze = 3 if draw.random() < 0.06 else 1
            time_ns = START_NS + k * 6 * HOUR_NS
            self.rates.append((time_ns, "TH1", round(draw.gauss(9.5e6, 1e6)) * squeeze, 0 if squeeze > 1 else 3_000))
            self.rates.append((time_ns, "BTC", round(draw.gauss(6e5, 6e4)), 40 * SAT_PER_BTC))

    def series(self) -> MarketSeries:
        return MarketSeries(self.times, self.price, self.difficulty, self.dividends, self.rates)


class FakeRun:
    """A strategy's ledger, consistent to the satoshi, made without any engine."""

    def __init__(self, name: str, market: FakeMarket, start_sat: int = 200 * SAT_PER_BTC) -> None:
        self.name, self.market, self.start_sat = name, market, start_sat
        self.cash = self.lots = self.transaction = 0
        self.postings: list[Posting] = []
        self.fills: list[Fill] = []
        self.marks: list[Mark] = []
        self.seen: list[Observation] = []
        self.notices: list[Notice] = []
        self.post(START_NS, "deposit", "exchange/BTC", start_sat)

    def post(self, time_ns: int, kind: str, purse: str, amount: int) -> None:
        if kind != "fee":
            self.transaction += 1
        self.postings.append(Posting(self.transaction, time_ns, kind, f"{self.name}/{purse}", amount))
        self.postings.append(Posting(self.transaction, time_ns, kind, f"venue/{purse}", -amount))
        if purse.endswith("BTC"):
            self.cash += amount
        else:
            self.lots += amount

    def trade(self, time_ns: int, lots: int, mark: int) -> None:
        price = round(mark * (1.008 if lots > 0 else 0.992) / 10_000) * 10_000
        worth = notional_sat(lots, price, 100)
        fee = fee_sat(abs(worth), 2_000)
        self.post(time_ns, "trade", "position/BTC", -worth)
        self.lots += lots
        for purse, amount in (("position", lots), ("issuer", -lots)):
            owner = self.name if purse == "position" else "market"
            self.postings.append(Posting(self.transaction, time_ns, "trade", f"{owner}/{purse}/TH1", amount))
        self.post(time_ns, "fee", "trading/BTC", -fee)
        self.fills.append(Fill(time_ns, len(self.fills) + 1, self.name, "trading", lots, price, fee, mark, False))

    def play(self, target: Callable[[int, int, int, int], int], band: tuple[float, float] | None) -> RunResult:
        market, day = self.market, 0
        for time_ns, price, fair in zip(market.times, market.price, market.fair, strict=True):
            low, high = (round(fair * band[0]), round(fair * band[1])) if band else (0, 0)
            self.seen.append(Observation(time_ns, fair, low, high))
            self.marks.append(Mark(time_ns, price, self.lots, self.cash + notional_sat(self.lots, price, 100)))
            if (time_ns - START_NS) // NS_PER_DAY > day:
                day = (time_ns - START_NS) // NS_PER_DAY
                self.settle(time_ns + 1, price)
            wanted = target(price, fair, self.lots, len(self.marks))
            if wanted != self.lots:
                self.trade(time_ns + 2, wanted - self.lots, price)
        self.settle(market.end_ns, market.price[-1] if market.price else 0)
        if self.lots:
            self.post(market.end_ns, "expiry", "position/TH1", -self.lots)
        self.marks.append(Mark(market.end_ns, 0, 0, self.cash))
        return self.result()

    def settle(self, time_ns: int, price: int) -> None:
        if not self.lots:
            return
        self.post(time_ns, "dividend", "trading/BTC", self.lots * 1_286_000 // 100)
        worth = notional_sat(self.lots, price, 100)
        if self.name == "own and lend":
            self.post(time_ns, "interest", "deposit/BTC", worth * 85 // 11_000)
        else:
            self.post(time_ns, "interest", "trading/BTC", worth // 105 if worth < 0 else -worth // 1_700)

    def result(self) -> RunResult:
        balances: dict[str, int] = {}
        for posting in self.postings:
            balances[posting.account] = balances.get(posting.account, 0) + posting.amount
        end_ns = self.market.end_ns
        return RunResult(
            self.name,
            "reference",
            self.name,
            CONTRACT,
            START_NS,
            end_ns,
            self.start_sat,
            self.fills,
            self.postings,
            self.marks,
            self.notices,
            self.seen,
            balances,
        )


def banded(lots: int, enter: float, leave: float, step: int) -> Callable[[int, int, int, int], int]:
    """Short above fair value by `enter`, long below, flat again within `leave`; decides every `step` marks."""

    def target(price: int, fair: int, held: int, count: int) -> int:
        edge = price / fair - 1 if fair else 0.0
        if count % step:
            return held
        if held == 0:
            return -lots if edge > enter else lots if edge < -enter else 0
        if held < 0:
            return lots if edge < -enter else 0 if edge < leave else held
        return -lots if edge > enter else 0 if edge > -leave else held

    return target


def fake_report(days: int = 91, step_ns: int = HOUR_NS, names: tuple[str, ...] = ()) -> ReportInput:
    """Return a report on five strategies over a made-up market."""
    market = FakeMarket(days, step_ns)
    plans: list[tuple[str, Callable[[int, int, int, int], int], tuple[float, float] | None]] = [
        ("fair value band", banded(2_000, 0.25, 0.12, 1), (0.88, 1.25)),
        ("carry-aware band", banded(3_000, 0.42, 0.2, 3), (0.8, 1.42)),
        ("hold long to expiry", lambda price, fair, held, count: 2_500, None),
        ("hold short to expiry", lambda price, fair, held, count: -2_500, None),
        ("own and lend", lambda price, fair, held, count: 5_000, None),
    ]
    results = []
    for index, (name, target, band) in enumerate(plans):
        run = FakeRun(names[index] if index < len(names) else name, market)
        if index in (1, 3):
            when = market.times[len(market.times) // 3]
            run.notices.append(
                Notice(when, run.name, "margin_call", "equity 4100000000 sat, maintenance 3900000000 sat")
            )
            run.notices.append(
                Notice(when + 9 * NS_PER_DAY, run.name, "liquidation", "equity < maintenance, -600 lots")
            )
            run.notices.append(
                Notice(when + 9 * NS_PER_DAY, run.name, "cancel", "no lender at or under 0.75 % per day")
            )
        results.append(run.play(target, band))
    attributions = [attribute(result) for result in results]
    metrics = [measure(result, one) for result, one in zip(results, attributions, strict=True)]
    return ReportInput(
        title="TH1BTC, 15 September to 15 December 2014",
        contract=CONTRACT,
        simulated=True,
        results=results,
        attributions=attributions,
        metrics=metrics,
        market=market.series(),
        settings_rows=[
            ("contract", "contracts/th1btc_2014q4.yaml", "", "config.yaml:3"),
            ("history.kind", "simulated", "", "config.yaml:7"),
            ("history.seed", "2014", "", "config.yaml:8"),
            ("account.deposit", "200", "BTC", "config.yaml:12"),
            ("fills.latency", "500", "ms", "default"),
            ("fills.max_share_of_volume", "0.1", "fraction", "default"),
            ("strategies[0].params.entry_band", "0.25", "fraction", "config.yaml:21"),
        ],
        reproduce={
            "command": "fairhash backtest config.yaml --engine reference",
            "config hash": "6a1f0c9be2d54477a3f1c0de4b9a7712c6e0ffab31d2a9907f8e6a5d4c3b2a19",
            "data hash": "d2a9907f8e6a5d4c3b2a196a1f0c9be2d54477a3f1c0de4b9a7712c6e0ffab31",
            "version": "fairhash 0.1.0, Python 3.11",
        },
    )


@pytest.fixture(scope="module")
def report() -> ReportInput:
    return fake_report()


@pytest.fixture(scope="module")
def page(report: ReportInput) -> str:
    return render(report)


class Balance(HTMLParser):
    """Counts open tags; what closes must be what was opened last."""

    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(page: str) -> Balance:
    parser = Balance()
    parser.feed(page)
    parser.close()
    return parser


def test_tags_balance(page: str) -> None:
    """Every tag that opens closes, in order, and the page has its sections and its charts."""
    parser = parse(page)
    assert parser.open == []
    assert parser.seen.count("h2") == 6
    assert parser.seen.count("figure") == 2 + 5 * 4 + 4


def test_needs_nothing_from_elsewhere(page: str) -> None:
    """No address, import, link or picture; the policy forbids what is not inline."""
    assert re.search(r"https?:|//[a-z]|url\(|@import|<link|<img|<iframe|src=", page) is None
    assert "default-src 'none'" in page
    assert "NaN" not in page and "Infinity" not in page


def test_texts_are_escaped() -> None:
    """A strategy called <script> stays text wherever its name is shown."""
    name = "<script>alert('x')</script>"
    content = fake_report(days=3, names=(name, "a&b</script>", '"><i>'))
    content.settings_rows.append((name, name, name, name))
    content.reproduce[name] = name
    page = render(content)
    parser = parse(page)
    assert parser.open == []
    assert name not in page and '"><i>' not in page
    assert parser.seen.count("script") == 2
    assert "&lt;script&gt;alert(" in page


def test_simulated_prices_are_called_so(report: ReportInput, page: str) -> None:
    """The mark is in the banner, in the table and under every chart of market prices, and only when it is true."""
    assert page.count(SIMULATED) >= 3 + 5 * 3 + 2
    recorded = ReportInput(**{name: getattr(report, name) for name in report.__slots__} | {"simulated": False})
    assert SIMULATED not in render(recorded)


def test_numbers_are_the_attributions(report: ReportInput, page: str) -> None:
    """Each part of each strategy's profit and of each trade stands in the page with all its decimals."""
    plain = re.sub(r"</?small>|</?span[^>]*>", "", page)
    rows = re.findall(r'<tr><th><a href="#s\d">.*?</tr>', plain)
    assert len(rows) == 5
    for row, one in zip(rows, report.attributions, strict=True):
        cells = re.findall(r"<td>(.*?)</td>", row)
        shown = [cells[0], *cells[2:9]]
        assert shown == [btc_text(value, plus=True) for value in (one.split.total_sat, *one.split[:7])]
    panel = plain[plain.index('id="s0"') : plain.index('id="s1"')]
    for trade in report.attributions[0].trades:
        assert f'<td class="net">{btc_text(trade.split.total_sat, plus=True)}</td>' in panel


def test_readings_are_the_last_values_before_their_time(report: ReportInput, page: str) -> None:
    """What the pointer reads at the end of the run is the last mark's price."""
    match = re.search(r'id="samples">(.*?)</script>', page)
    assert match is not None
    samples = json.loads(match[1])
    assert samples["start_ms"] == START_NS // 1_000_000
    assert samples["arrays"]["price"][0] is None  # no mark yet at the start
    assert samples["arrays"]["price"][-1] == round(report.market.price_sat[-1] / SAT_PER_BTC, 4)
    keys = set(re.findall(r'data-key="([^"]+)"', page))
    assert keys == set(samples["charts"])


def test_script_runs_in_a_browser(page: str, tmp_path: Path) -> None:
    """In Chromium, where there is one: no error, one panel shown, sorting sorts, the pointer reads the price."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium here")
    probe = """<script>setTimeout(function () {
      var plot = document.querySelector('figure[data-key="price-0"] .plot'), box = plot.getBoundingClientRect();
      document.querySelector('#s0 .sort button[data-sign="-"]').click();
      document.querySelectorAll('#chooser button')[1].click();
      document.querySelectorAll('#chooser button')[0].click();
      plot.dispatchEvent(new PointerEvent("pointermove", {clientX: box.right, clientY: box.top, bubbles: true}));
      document.title = [failures, document.querySelectorAll('.panel.shown').length,
        document.querySelector('#s0 tbody tr').dataset.net, document.querySelector('#tip b').textContent].join("|");
    }, 50)</script></body>"""
    page = re.sub(r"<meta http-equiv[^>]*>", "<script>failures = 0; onerror = () => { failures += 1 }</script>", page)
    (tmp_path / "page.html").write_text(page.replace("</body>", probe), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --virtual-time-budget=3000 --dump-dom"
    command = [chromium, *flags.split(), f"--user-data-dir={tmp_path / 'user'}", f"{tmp_path / 'page.html'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"chromium does not run here: {done.stderr[-200:]}")
    rows = [
        int(net) for net in re.findall(r'<tr data-net="(-?\d+)"', page[page.index('id="s0"') : page.index('id="s1"')])
    ]
    last = re.findall(r'"price":\[.*?([\d.]+)\]', page)[0]
    assert f"<title>0|1|{max(rows)}|{float(last):.4f} BTC</title>" in done.stdout


def test_long_history_stays_small() -> None:
    """130,000 minute marks make a page under 3 MB."""
    page = render(fake_report(step_ns=60 * NS_PER_S))
    assert len(page.encode()) < 3_000_000


def test_empty_history_makes_a_page() -> None:
    """A run in which nothing could happen still has a report."""
    market = FakeMarket(1, NS_PER_DAY)
    result = FakeRun("idle", market).play(lambda *_: 0, None)
    one = attribute(result)
    empty = MarketSeries([], [], [], [], [])
    content = ReportInput("t", CONTRACT, False, [result], [one], [measure(result, one)], empty, [], {})
    assert "No trades." in render(content)
    with pytest.raises(ValueError, match="at least one strategy"):
        render(ReportInput("t", CONTRACT, False, [], [], [], empty, [], {}))


def test_thinning_keeps_every_extreme() -> None:
    """The lowest and highest value of every column survive, at their times, in order."""
    draw = random.Random(1)
    times = list(range(200_000))
    values = [draw.random() for _ in times]
    span = Span(0, 200_000)
    points = thin(times, values, span)
    assert len(points) <= 4 * COLUMNS
    assert points == sorted(set(points)) and set(points) <= set(zip(times, values, strict=True))
    kept = {value for _, value in points}
    for column in range(COLUMNS):
        part = values[column * 200 + 1 : column * 200 + 201] if column else values[:201]
        assert min(part) in kept and max(part) in kept


def test_gaps_stay_gaps() -> None:
    """A missing value breaks the line."""
    assert runs([1, 2, 3, 4], [5.0, None, 6.0, 7.0], Span(0, 9)) == [[(1, 5.0)], [(3, 6.0), (4, 7.0)]]


def test_paths_reach_their_corners() -> None:
    """From the lower left to the upper right corner; a step goes right before it goes up."""
    axis = scale([0.0, 1.0])._replace(low=0.0, high=1.0)
    span = Span(0, 10)
    assert line([(0, 0.0), (10, 1.0)], span, axis) == f"M0 {HEIGHT}l0 0 {WIDTH}-{HEIGHT}"
    assert line([(0, 0.0), (10, 1.0)], span, axis, step=True) == f"M0 {HEIGHT}l0 0 {WIDTH} 0 0-{HEIGHT}"
    assert bars([(-5, 1.0)], span, axis, 10) == f"M0 {HEIGHT}V0H{WIDTH // 2 - 4}V{HEIGHT}z"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [([0.0, 2.0], 5), ([1e-9, 2e-9], 6), ([5.0], 6), ([], 6), ([-3e9, 4e9], 4)],
)
def test_ticks_are_inside_and_round(values: list[float], ticks: int) -> None:
    """Every axis has a few ticks, inside it, apart by 1, 2 or 5 times a power of ten."""
    axis = scale(values)
    assert 2 <= len(axis.ticks) <= 9 and abs(len(axis.ticks) - ticks) <= 2
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    step = axis.ticks[1] - axis.ticks[0]
    assert round(step / 10 ** math.floor(math.log10(step * 1.0000001)), 6) in (1.0, 2.0, 5.0)
    assert len({f"{tick:.{axis.digits}f}" for tick in axis.ticks}) == len(axis.ticks)


@pytest.mark.parametrize("days", [1, 3, 14, 60, 91, 365, 1_000, 6_000])
def test_time_ticks_fit(days: int) -> None:
    """From a day to sixteen years there are between 2 and 16 ticks, in order and inside the span."""
    span = Span(START_NS, START_NS + days * NS_PER_DAY)
    ticks = time_ticks(span)
    assert 2 <= len(ticks) <= 16
    times = [time_ns for time_ns, _ in ticks]
    assert times == sorted(set(times)) and all(span.start_ns <= time_ns <= span.end_ns for time_ns in times)


def test_stacked_bar_adds_up() -> None:
    """Losses lie left of zero and gains right, end to end."""
    drawn = stack([("a", 3.0, ""), ("b", -1.0, ""), ("c", 1.0, "")], (3.0, ""), (-1.0, 4.0))
    boxes = re.findall(r'class="(\w)" x="([\d.]+)%" width="([\d.]+)%"', drawn)
    assert boxes == [("a", "20.00", "60.00"), ("b", "0.00", "20.00"), ("c", "80.00", "20.00")]
