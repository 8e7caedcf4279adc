"""The page answers its own name only, tells what is stale, and updates by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from backtests.reference import Feed
from bot.core.units import NS_PER_S
from bot.paper.dashboard import MOST_CONNECTIONS, MOST_WATCHERS, PAGE, Dashboard, PageError, PagePlace
from bot.paper.snapshot import Snapshot, snapshot
from bot.paper.vitals import Limits, health, metrics
from bot.run import load_run

LIMITS = Limits(quote_ns=3_600 * NS_PER_S, block_ns=7_200 * NS_PER_S)


@pytest.fixture(scope="module")
def seen() -> Snapshot:
    plan = load_run(Path("config.yaml")).plans[0]
    session = plan.session()
    feed = Feed(session, plan.world())
    for quote in plan.history.quotes[:100]:
        feed.up_to(quote.time_ns)
        session.on_quote(quote)
        session.decide()
    return snapshot(session, simulated=True)


class World:
    """What the page looks at."""

    def __init__(self, seen: Snapshot) -> None:
        self.snapshots = [seen]
        self.now_ns = seen.time_ns
        self.fault: Exception | None = None

    def look(self) -> list[Snapshot]:
        if self.fault:
            raise self.fault
        return self.snapshots


def serve(
    seen: Snapshot,
    act: Callable[[aiohttp.ClientSession, str, World], Awaitable[None]],
    hosts: tuple[str, ...] = (),
    head_s: float = 10.0,
    idle_s: float = 30.0,
    write_s: float = 10.0,
) -> None:
    async def run() -> None:
        world = World(seen)
        page = Dashboard(lambda: world.look(), "a title", LIMITS, lambda: world.now_ns)
        url = await page.start(PagePlace(hosts=hosts, refresh_s=0.01, head_s=head_s, idle_s=idle_s, write_s=write_s))
        try:
            async with aiohttp.ClientSession() as session:
                await asyncio.wait_for(act(session, url, world), 20)
        finally:
            await page.stop()

    asyncio.run(run())


def test_the_page_needs_nothing_from_elsewhere(seen: Snapshot) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        for path, kind in (("", "text/html"), ("dashboard.css", "text/css"), ("dashboard.js", "text/javascript")):
            async with http.get(url + path) as answer:
                assert (answer.status, answer.content_type) == (200, kind)
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
                text = await answer.text()
                assert not re.search(r"(https?:)?//(?!www\.w3\.org/2000/svg)[a-z]+\.[a-z]", text), path

    serve(seen, act)


def test_every_element_that_the_script_fills_is_on_the_page() -> None:
    html, script = ((PAGE / name).read_text() for name in ("dashboard.html", "dashboard.js"))
    wanted = set(re.findall(r"byId\('([a-z-]+)'\)", script)) | set(re.findall(r"table\('([a-z]+)'", script))
    assert len(wanted) > 15
    assert wanted <= set(re.findall(r'id="([a-z-]+)"', html))


def test_the_script_reads_only_what_the_document_has(seen: Snapshot) -> None:
    script = (PAGE / "dashboard.js").read_text()
    known = set(seen.document())
    assert set(re.findall(r"\bnow\.([a-z_]+)", script)) <= known
    for name in ("orders", "loans", "blocks", "events"):
        single = name[:-1]
        fields = set(re.findall(rf"\b{single}\.([a-z_]+)", script))
        assert fields and fields <= set(seen.document()[name][0] if seen.document()[name] else fields), name


@pytest.mark.parametrize("path", ["", "state", "track", "events", "metrics", "health", "dashboard.js"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
    ids=["foreign", "no port", "longer", "origin", "null origin"],
)
def test_a_foreign_host_or_origin_is_refused(seen: Snapshot, path: str, headers: dict[str, str]) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        port = url.rstrip("/").rpartition(":")[2]
        filled = {name: value.replace("{port}", port) for name, value in headers.items()}
        async with http.get(url + path, headers=filled) as answer:
            assert answer.status == 403
            assert "satoshi" not in await answer.text()

    serve(seen, act)


def test_own_names_are_served(seen: Snapshot) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        port = url.rstrip("/").rpartition(":")[2]
        for name in (f"localhost:{port}", f"LOCALHOST:{port}", f"my.name:{port}"):
            async with http.get(url + "state", headers={"Host": name, "Origin": f"http://{name}"}) as answer:
                assert answer.status == 200

    serve(seen, act, hosts=("my.name",))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(seen: Snapshot, method: str) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        async with http.request(method, url + "state", data=b"{}") as answer:
            assert answer.status == 405

    serve(seen, act)


def test_health_turns_with_the_age_of_quote_and_block(seen: Snapshot) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        async def status() -> tuple[int, dict[str, Any]]:
            async with http.get(url + "health") as answer:
                return answer.status, await answer.json()

        code, document = await status()
        assert (code, document["status"], document["quote_age_s"]) == (200, "ok", 0)
        world.now_ns = seen.last_quote_ns + 3_600 * NS_PER_S
        assert (await status())[0] == 200  # the bound itself is allowed
        world.now_ns += 1 * NS_PER_S
        code, document = await status()
        assert (code, document["status"]) == (503, "ill")
        assert document["problems"] == ["the last quote is 3601 s old; allowed are 3600 s"]
        world.now_ns = seen.last_block_ns + 7_201 * NS_PER_S
        assert any("the last block is 7201 s old" in problem for problem in (await status())[1]["problems"])

    serve(seen, act)


def test_ages_are_those_of_the_moment_that_was_looked_at(seen: Snapshot) -> None:
    """In a replay at full speed the clock has gone on by days when a watcher is told what was seen a moment ago."""

    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        def look() -> list[Snapshot]:
            world.now_ns += 86_400 * NS_PER_S  # between one look and the next
            return [replace(seen, last_quote_ns=world.now_ns, last_block_ns=world.now_ns)]

        world.look = look  # type: ignore[method-assign]
        async with http.get(url + "events") as answer:
            for _ in range(6):
                line = await answer.content.readline()
                if line.startswith(b"data: "):
                    assert json.loads(line[6:])["health"]["quote_age_s"] == 0

    serve(seen, act)


def test_health_before_the_first_event_and_after_the_end(seen: Snapshot) -> None:
    fresh = replace(seen, last_quote_ns=0, last_block_ns=0)
    ok, document = health([fresh], seen.time_ns, LIMITS, "")
    assert (ok, document["problems"], document["quote_age_s"]) == (False, ["no quote yet", "no block yet"], None)
    ok, document = health([replace(seen, expired=True)], seen.time_ns + 10**18, LIMITS, "")
    assert (ok, document["status"]) == (True, "expired")


def test_a_page_that_cannot_look_says_so_and_goes_on(seen: Snapshot) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        world.fault = KeyError("of our own")
        async with http.get(url + "events") as answer:
            while b"cannot look" not in await answer.content.readline():
                pass
        async with http.get(url + "health") as answer:
            assert answer.status == 503
        world.fault = None
        async with http.get(url + "events") as answer:
            while b'"problems":[]' not in await answer.content.readline():
                pass

    serve(seen, act)


def test_events_come_by_themselves(seen: Snapshot) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        async with http.get(url + "events") as answer:
            assert answer.content_type == "text/event-stream"
            first = json.loads((await answer.content.readline()).removeprefix(b"data: "))
            assert (first["title"], first["strategies"][0]["price_sat"]) == ("a title", seen.price_sat)
            assert first["strategies"][0]["simulated"] is True
            world.snapshots = [replace(seen, price_sat=seen.price_sat + 1, time_ns=seen.time_ns + NS_PER_S)]
            while True:
                line = await answer.content.readline()
                if line.startswith(b"data: ") and json.loads(line[6:])["strategies"][0]["price_sat"] > seen.price_sat:
                    break
        async with http.get(url + "track") as answer:
            points = (await answer.json())[seen.strategy]
            assert [point[1] for point in points] == [seen.price_sat, seen.price_sat + 1]

    serve(seen, act)


def test_watchers_are_bounded_and_counted_down_when_they_leave(seen: Snapshot) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as many:
            watching = [await many.get(url + "events") for _ in range(MOST_WATCHERS)]
            async with many.get(url + "events") as one_more:
                assert one_more.status == 503
            for answer in watching:
                answer.close()
        while True:
            async with http.get(url + "events") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.01)  # until the server has noticed, at its next write

    serve(seen, act)


async def let_go(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def spoken(url: str, text: str) -> tuple[int, bytes]:
    """Send `text` as it is, and return the status of the answer, 0 for none, and all that came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rstrip("/").rpartition(":")[2]))
    writer.write(text.encode("latin-1"))
    answer = await reader.read(2**20)
    await let_go(writer)
    return int(answer.split()[1]) if answer else 0, answer


@pytest.mark.parametrize("first", [b"", b"GET /health HTTP/1.1\r\nHost: HOST\r\n\r\n"], ids=["first", "second"])
def test_who_dribbles_the_head_of_a_request_is_cut_off_and_others_are_served(seen: Snapshot, first: bytes) -> None:
    """A byte now and then, for ever: of the first request, and of the second on a connection that is kept."""

    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        host = url.removeprefix("http://").rstrip("/")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        if first:
            writer.write(first.replace(b"HOST", host.encode()))
            await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(b"}")
        head = b"GET /health HTTP/1.1\r\nX-Slow: "

        async def dribble() -> int:
            sent = 0
            while not writer.is_closing() and not reader.at_eof():
                writer.write(head[sent : sent + 1] or b"x")
                sent += 1
                await asyncio.sleep(0.02)
            return sent

        async with asyncio.timeout(10):
            assert await dribble() > 5
        await let_go(writer)
        async with http.get(url + "health") as answer:
            assert answer.status == 200

    serve(seen, act, head_s=0.3, idle_s=0.3)


def test_connections_are_bounded_and_the_page_is_back_when_the_silent_ones_are_cut(seen: Snapshot) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        host = url.removeprefix("http://").rstrip("/")
        silent = [await asyncio.open_connection(*host.split(":")) for _ in range(MOST_CONNECTIONS)]
        assert await spoken(url, f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n") == (0, b"")
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""  # cut, without an answer
            await let_go(writer)
        async with http.get(url + "health") as answer:
            assert answer.status == 200

    serve(seen, act, head_s=0.5)


def test_who_does_not_read_what_he_asked_for_is_cut_off(seen: Snapshot) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        world.snapshots = [replace(seen, note="x" * 8_000_000)]  # more than the sockets between hold
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port))) as deaf:
            deaf.setblocking(False)
            deaf.sendall(f"GET /state HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            while True:
                await asyncio.sleep(0.05)
                with contextlib.suppress(BlockingIOError):
                    try:
                        deaf.send(b"x")  # does not wait for its own answer
                    except ConnectionError:
                        return

    serve(seen, act, write_s=0.2)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /state HTTP/1.1\r\n\r\n", 400),
        ("GET /state HTTP/1.0\r\n\r\n", 403),
        ("GET /state HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n", 400),
        ("GET /state HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: {own}\r\n\r\n", 403),
        ("GET http://evil.example/state HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET /state HTTP/1.1\r\nHost: {own}\r\nOrigin: http://{own}\r\nOrigin: http://evil.example\r\n\r\n", 403),
        ("GET /state HTTP/1.1\r\nHost: {own}\r\nOrigin: http://{own}.evil.example\r\n\r\n", 403),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: {own}\r\n\r\n", 404),
        ("GET /dashboard.css/../state HTTP/1.1\r\nHost: {own}\r\n\r\n", 404),
        ("GET /%00 HTTP/1.1\r\nHost: {own}\r\n\r\n", 404),
        ("GET /state HTTP/1.1\r\nHost: {own}\r\nX: " + 9_000 * "x" + "\r\n\r\n", 400),
        ("GET /" + 9_000 * "x" + " HTTP/1.1\r\nHost: {own}\r\n\r\n", 400),
        ("GET /state HTTP/1.1\r\nHost: {own}\r\n" + 100 * "X: y\r\n" + "\r\n", 400),
        ("GET /state HTTP/1.1\r\nHost: {own}\r\nContent-Length: 1000000000000\r\n\r\n", 413),
        ("GET /state HTTP/1.1\r\nHost: {own}\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        ("POST /state HTTP/1.1\r\nHost: {own}\r\nContent-Length: 5\r\n\r\nabcde", 405),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_hostile_requests_are_refused_and_the_connection_is_let_go(
    seen: Snapshot, request_text: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(http: aiohttp.ClientSession, url: str, world: World) -> None:
        own = url.removeprefix("http://").rstrip("/")
        found, answer = await spoken(url, request_text.replace("{own}", own))
        assert found == status, answer
        assert b"satoshi" not in answer and b"_sat" not in answer and b"Traceback" not in answer

    serve(seen, act)
    assert not caplog.records  # nobody else fills our log


def test_a_taken_port_is_one_line(seen: Snapshot) -> None:
    async def run() -> None:
        page = Dashboard(lambda: [seen], "t", LIMITS, lambda: seen.time_ns)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(PageError, match=f"cannot listen on 127.0.0.1:{port}.*choose another"):
                await page.start(PagePlace(port=port))

    asyncio.run(run())


def test_metrics_are_in_the_text_format(seen: Snapshot) -> None:
    """Every line is a comment or `name{labels} number`; types are stated once, before their samples."""
    odd = replace(seen, strategy='a"b\\c')
    text = metrics([seen, odd], seen.time_ns + 5 * NS_PER_S, ok=True)
    assert text.endswith("\n")
    declared: list[str] = []
    label = r'[a-z_]+="(?:[^"\\]|\\\\|\\")*"'
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            declared.append(line.split()[2])
        elif not line.startswith("# HELP "):
            found = re.fullmatch(rf"([a-z_]+)(?:\{{{label}(?:,{label})*\}})? (-?[0-9.e+]+)", line)
            assert found, line
            assert found[1] == declared[-1]
            float(found[2])
    assert len(declared) == len(set(declared)) > 15
    assert f'fairhash_equity_satoshi{{strategy="{seen.strategy}"}} {seen.equity_sat}' in text
    assert 'strategy="a\\"b\\\\c"' in text
    assert f'fairhash_simulated_prices{{contract="{seen.contract}"}} 1' in text
