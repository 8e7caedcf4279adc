"""The daemon's page: what every strategy does, in a browser, by itself; and what monitors ask for.

    page = Dashboard(look, title, limits, now_ns)      # look() returns a Snapshot of every strategy
    url = await page.start(settings)
    ...
    await page.stop()

| path       | answers                                                                             |
|------------|-------------------------------------------------------------------------------------|
| `/`        | the page; `/dashboard.css` and `/dashboard.js` belong to it, nothing comes from elsewhere |
| `/state`   | everything as one JSON document, `/track` the points of the charts                  |
| `/events`  | the same document again and again as server-sent events                             |
| `/metrics` | Prometheus' text format                                                             |
| `/health`  | 200, or 503 with the reasons                                                        |

It only shows: there is nothing here that changes anything. Who may ask is told by the Host header (a page of somebody
else's, opened in the same browser, must not read it: DNS rebinding), and it listens on this machine alone unless the
settings say otherwise. `look` is called once a refresh whether or not somebody watches, for the charts' sake.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bot import __version__
from bot.config_settings import Config
from bot.core.units import NS_PER_S
from bot.errors import FairhashError, cause
from bot.paper.snapshot import Snapshot
from bot.paper.track import Track
from bot.paper.vitals import CONTENT_TYPE, Limits, health, metrics

if TYPE_CHECKING:
    from aiohttp import web

    from bot.paper.connections import Answer, Connections

PAGE: Final = Path(__file__).parent / "page"
BLOCK_STALE_NS: Final = 3 * 60 * 60 * NS_PER_S
"""A longer wait for one block has a chance of e^-18."""
MOST_WATCHERS: Final = 32
MOST_CONNECTIONS: Final = 128
MAX_LINE: Final = 8_190
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_FILES: Final = {
    "/": ("dashboard.html", "text/html"),
    "/dashboard.css": ("dashboard.css", "text/css"),
    "/dashboard.js": ("dashboard.js", "text/javascript"),
}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageError(FairhashError):
    """The page cannot be served."""


@dataclass(frozen=True, slots=True)
class PagePlace:
    """Where to listen: port 0 takes any that is free; `hosts` are further names by which browsers may call it.

    Who has not sent the head of a first request within `head_s`, or of a next one within `idle_s`, is cut off;
    so is who does not read what he asked for within `write_s`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    hosts: tuple[str, ...] = ()
    refresh_s: float = 1.0
    head_s: float = 10.0
    idle_s: float = 30.0
    write_s: float = 10.0


async def open_page(
    config: Config, title: str, look: Callable[[], Sequence[Snapshot]], now_ns: Callable[[], int], feed: str = ""
) -> tuple[Dashboard, str]:
    """Return the page that a configuration describes, being served, and its URL; see Dashboard for the rest.

    Health turns ill when the last quote is older than `fills.stale_after`, or the last block older than
    `blocks.stale_after` (3 h where no live blocks are configured). Raises PageError.
    """
    block_ns = config.blocks.stale_after_ns if config.blocks is not None else BLOCK_STALE_NS
    page = Dashboard(look, title, Limits(config.fills.stale_after_ns, block_ns), now_ns, feed)
    own = config.dashboard
    return page, await page.start(PagePlace(own.host, own.port, own.hosts, own.refresh_ns / NS_PER_S))


class Dashboard:
    """Serves the page. `now_ns` is the run's clock: wall time when live, the replay's time in a replay.

    `feed` says where the events come from.
    """

    def __init__(
        self,
        look: Callable[[], Sequence[Snapshot]],
        title: str,
        limits: Limits,
        now_ns: Callable[[], int],
        feed: str = "",
    ) -> None:
        self._look = look
        self._title = title
        self._feed = feed
        self._limits = limits
        self._now_ns = now_ns
        self._snapshots: Sequence[Snapshot] = ()
        self._tracks: dict[str, Track] = {}
        self._fault = ""
        self._at_ns = 0
        self._watchers = 0
        self._fresh = asyncio.Event()
        self._answers: Mapping[str, Answer] = {}
        self._place = PagePlace()
        self._http: Connections | None = None
        self._listening: asyncio.Server | None = None
        self._sampler: asyncio.Task[None] | None = None
        self._allowed: frozenset[str] = frozenset()

    async def start(self, place: PagePlace) -> str:
        """Listen, and return the URL. Raises PageError when the port is taken or the host is none of ours."""
        from bot.paper import connections

        answers = {"/state": self._state, "/track": self._track, "/events": self._events}
        answers |= {"/metrics": self._metrics, "/health": self._health, **dict.fromkeys(_FILES, self._file)}
        self._answers, self._place = answers, place
        limits = connections.Limits(
            place.head_s, idle_s=place.idle_s, write_s=place.write_s, connections=MOST_CONNECTIONS
        )
        bounds = {"max_line_size": MAX_LINE, "max_field_size": MAX_LINE, "max_headers": 64}
        self._http = connections.Connections(self._answer, limits, **bounds)
        try:
            self._listening = await self._http.listen(place.host, place.port)
        except OSError as error:
            what = f"dashboard: cannot listen on {place.host}:{place.port}: {error.strerror or error}"
            raise PageError(f"{what} (choose another dashboard.port, or 0)") from error
        host, port = self._listening.sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        names = (*LOOPBACK, shown, *place.hosts)
        self._allowed = frozenset(f"{name}:{port}".lower() for name in names)
        self._sample()
        self._sampler = asyncio.create_task(self._keep_sampling(place.refresh_s))
        return f"http://{shown}:{port}/"

    async def stop(self) -> None:
        """Stop listening; who watches is cut off."""
        if self._sampler is not None:
            self._sampler.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sampler
        if self._listening is not None and self._http is not None:
            self._listening.close()
            await self._http.shutdown(0.5)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Look at who asks for what, and answer; nothing is read but the head."""
        assert self._http is not None
        self._http.heard(request)
        if not self._is_ours(request):
            return _json({"error": "this page answers only to its own name; see docs/operations.md"}, 403)
        answer = self._answers.get(request.path)
        if answer is None:
            return _json({"error": f"there is nothing here but {', '.join(self._answers)}"}, 404)
        if request.method not in ("GET", "HEAD"):
            return _json({"error": "this page changes nothing"}, 405)
        if request.body_exists:
            refused = _json({"error": "no body is read here"}, 413)
            refused.force_close()
            return refused
        return await answer(request)

    def _is_ours(self, request: web.BaseRequest) -> bool:
        """Return whether a request calls this page by a name of its own, once, and comes from no other page."""
        hosts, origins = request.headers.getall("Host", []), request.headers.getall("Origin", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._allowed:
            return False
        return all(origin.lower().partition("://")[2] in self._allowed for origin in origins)

    # What is shown ------------------------------------------------------------------------------------------

    def _take(self) -> None:
        """Look, and note the run's time with it: in a fast replay a second later is hours later."""
        self._at_ns = self._now_ns()
        try:
            self._snapshots = self._look()
            self._fault = ""
        except Exception as error:  # noqa: BLE001 - a page must not end the trading; its health says what is wrong
            self._fault = f"the page cannot look: {cause(error)}"

    def _sample(self) -> None:
        self._take()
        for each in self._snapshots:
            self._tracks.setdefault(each.strategy, Track()).add(each)
        self._fresh.set()
        self._fresh = asyncio.Event()

    async def _keep_sampling(self, refresh_s: float) -> None:
        while True:
            await asyncio.sleep(refresh_s)
            self._sample()

    def _document(self) -> dict[str, Any]:
        return {
            "title": self._title,
            "version": __version__,
            "feed": self._feed,
            "health": self._healthy()[1],
            "strategies": [each.document() for each in self._snapshots],
        }

    def _healthy(self) -> tuple[bool, dict[str, Any]]:
        return health(self._snapshots, self._at_ns, self._limits, self._fault)

    # Answers ------------------------------------------------------------------------------------------------

    async def _file(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        name, kind = _FILES[request.path]
        body = (PAGE / name).read_bytes()
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=_HEADERS)

    async def _state(self, request: web.BaseRequest) -> web.StreamResponse:
        self._take()
        return _json(self._document())

    async def _track(self, request: web.BaseRequest) -> web.StreamResponse:
        return _json({name: track.points for name, track in self._tracks.items()})

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        self._take()
        text = metrics(self._snapshots, self._at_ns, self._healthy()[0])
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE, **_HEADERS})

    async def _health(self, request: web.BaseRequest) -> web.StreamResponse:
        self._take()
        ok, document = self._healthy()
        return _json(document, 200 if ok else 503)

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send the document at every refresh until the watcher leaves; one who does not read is cut off."""
        from aiohttp import web

        if self._watchers >= MOST_WATCHERS:
            return _json({"error": f"{MOST_WATCHERS} watch already"}, 503)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_HEADERS})
        self._watchers += 1
        try:
            await answer.prepare(request)
            while True:
                fresh = self._fresh
                line = f"data: {_compact(self._document())}\n\n"
                await asyncio.wait_for(answer.write(line.encode()), self._place.write_s)
                await fresh.wait()
        except (ConnectionError, TimeoutError):
            return answer  # gone, or not reading
        finally:
            self._watchers -= 1


def _compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _json(document: Any, status: int = 200) -> web.Response:
    from aiohttp import web

    return web.Response(text=_compact(document), status=status, content_type="application/json", headers=_HEADERS)
