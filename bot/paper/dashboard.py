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
from collections.abc import Awaitable, Callable, Sequence
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

PAGE: Final = Path(__file__).parent / "page"
BLOCK_STALE_NS: Final = 3 * 60 * 60 * NS_PER_S
"""A longer wait for one block has a chance of e^-18."""
MOST_WATCHERS: Final = 32
WRITE_TIMEOUT_S: Final = 10.0
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
    """Where to listen: port 0 takes any that is free; `hosts` are further names by which browsers may call it."""

    host: str = "127.0.0.1"
    port: int = 0
    hosts: tuple[str, ...] = ()
    refresh_s: float = 1.0


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
        self._runner: web.AppRunner | None = None
        self._sampler: asyncio.Task[None] | None = None
        self._allowed: frozenset[str] = frozenset()

    async def start(self, place: PagePlace) -> str:
        """Listen, and return the URL. Raises PageError when the port is taken or the host is none of ours."""
        from aiohttp import web

        app = web.Application(middlewares=[_guard(self)], client_max_size=1024)
        for path in _FILES:
            app.router.add_get(path, self._file)
        routes = {"/state": self._state, "/track": self._track, "/events": self._events}
        for path, answer in {**routes, "/metrics": self._metrics, "/health": self._health}.items():
            app.router.add_get(path, answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, place.host, place.port).start()
        except OSError as error:
            await self._runner.cleanup()
            what = f"dashboard: cannot listen on {place.host}:{place.port}: {error.strerror or error}"
            raise PageError(f"{what} (choose another dashboard.port, or 0)") from error
        host, port = self._runner.addresses[0][:2]
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
        if self._runner is not None:
            await self._runner.cleanup()

    def admits(self, host: str, origin: str | None) -> bool:
        """Return whether a request with these headers may be answered."""
        if host.lower() not in self._allowed:
            return False
        return origin is None or origin.lower().partition("://")[2] in self._allowed

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

    async def _file(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        name, kind = _FILES[request.path]
        return web.Response(body=(PAGE / name).read_bytes(), content_type=kind, charset="utf-8")

    async def _state(self, request: web.Request) -> web.StreamResponse:
        self._take()
        return _json(self._document())

    async def _track(self, request: web.Request) -> web.StreamResponse:
        return _json({name: track.points for name, track in self._tracks.items()})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        self._take()
        text = metrics(self._snapshots, self._at_ns, self._healthy()[0])
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _health(self, request: web.Request) -> web.StreamResponse:
        self._take()
        ok, document = self._healthy()
        return _json(document, 200 if ok else 503)

    async def _events(self, request: web.Request) -> web.StreamResponse:
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
                await asyncio.wait_for(answer.write(line.encode()), WRITE_TIMEOUT_S)
                await fresh.wait()
        except (ConnectionError, TimeoutError):
            return answer  # gone, or not reading
        finally:
            self._watchers -= 1


def _guard(page: Dashboard) -> Any:
    """Return what looks at every request first: who asks, and what every answer says to the browser."""
    from aiohttp import web

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not page.admits(request.headers.get("Host", ""), request.headers.get("Origin")):
            return _json({"error": "this page answers only to its own name; see docs/operations.md"}, 403)
        response = await handler(request)  # aiohttp passes it by this name
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return guard


def _compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _json(document: Any, status: int = 200) -> web.Response:
    from aiohttp import web

    return web.Response(text=_compact(document), status=status, content_type="application/json", headers=_HEADERS)
