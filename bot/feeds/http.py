"""JSON over HTTP within bounds: every way to fail is a SourceError by name, and no answer can fill the memory.

aiohttp is imported when a session is opened: other commands start without it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from bot.feeds.errors import AnswerError, RefusedAccessError, UnreachableError

if TYPE_CHECKING:
    import aiohttp

MAX_BYTES: Final = 4 * 2**20
"""Two hundred headers in JSON take a tenth of it; the first 25 transactions of a block a quarter."""
_ROOM: Final = 64 * 2**10
ReadLogin = Callable[[], tuple[str, str] | None]


class JsonHttp:
    """Asks one server, called `name` in messages. `login` gives user and password whenever a connection is opened."""

    def __init__(self, name: str, url: str, timeout_ns: int, login: ReadLogin | None = None) -> None:
        self.name = name
        self._url = url.rstrip("/")
        self._timeout_s = timeout_ns / 1e9  # a bound on waiting: never near money
        self._login = login
        self._headers: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str) -> Any:
        """Return the JSON at `path`."""
        return await self._ask("GET", path, None)

    async def get_text(self, path: str) -> str:
        """Return the ASCII text at `path`, without blanks around it."""
        try:
            return (await self._read("GET", path, None)).decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise AnswerError(self.name, f"{path}: the answer is not ASCII text") from error

    async def post(self, path: str, document: Any) -> Any:
        """Return the JSON that answers `document`."""
        return await self._ask("POST", path, document)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, path: str, document: Any) -> Any:
        raw = await self._read(method, path, document)
        try:
            return json.loads(raw, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise AnswerError(self.name, f"{path}: the answer is not JSON: {_words(error)}") from error

    async def _read(self, method: str, path: str, document: Any) -> bytes:
        import aiohttp

        if self._session is None:
            self._headers = self._authorization()
            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout, trust_env=False)
        try:
            # A redirect could lead the password, or a request, to another host.
            async with self._session.request(method, self._url + path, json=document, allow_redirects=False) as answer:
                body = await self._body(answer, path)
                if answer.status in (401, 403):
                    await self._refused(answer.status, path)
                self._check_status(answer.status, path, body)
                return body
        except TimeoutError as error:
            what = f"{path}: no whole answer within {self._timeout_s:g} s"
            raise UnreachableError(self.name, what, "is it running and synchronised?") from error
        except aiohttp.ClientError as error:
            what = f"{path}: {type(error).__name__}: {_words(error)}"
            raise UnreachableError(self.name, what, "is it running, and is the URL right?") from error
        except ValueError as error:
            raise AnswerError(self.name, f"{path}: {_words(error)}") from error

    def _authorization(self) -> dict[str, str]:
        login = self._login() if self._login is not None else None
        if login is None:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(":".join(login).encode()).decode("ascii")}

    async def _refused(self, status: int, path: str) -> None:
        """Say that we are not let in; unless the password has changed since: then it passes."""
        changed = self._authorization() != self._headers
        await self.close()
        if changed:
            raise UnreachableError(self.name, f"{path}: HTTP {status}: the password has changed meanwhile")
        raise RefusedAccessError(self.name, f"{path}: HTTP {status}: access refused", "mend user and password")

    async def _body(self, answer: aiohttp.ClientResponse, path: str) -> bytes:
        """Return the body, of which at most MAX_BYTES are ever held, whatever length was announced."""
        pieces, total = [], 0
        async for piece in answer.content.iter_chunked(_ROOM):
            total += len(piece)
            if total > MAX_BYTES:
                raise AnswerError(self.name, f"{path}: the answer is longer than {MAX_BYTES} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def _check_status(self, status: int, path: str, body: bytes) -> None:
        if status == 404:
            raise AnswerError(self.name, f"{path}: HTTP 404: not found: {_words(body)}")
        if status == 429 or status == 503:
            raise UnreachableError(self.name, f"{path}: HTTP {status}: too many requests or not ready")
        # Bitcoin Core answers an error of JSON-RPC with HTTP 500 and the error as JSON: that is read by its caller.
        if status != 200 and not (status == 500 and body.lstrip()[:1] in (b"{", b"[")):
            raise UnreachableError(self.name, f"{path}: HTTP {status}: {_words(body)}")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _words(of: object) -> str:
    """Return a text of a stranger's making as it can stand in a message: one line, printable, cut at 120 characters."""
    text = of.decode("utf-8", "replace") if isinstance(of, bytes) else str(of)
    return "".join(letter if letter.isprintable() else " " for letter in text[:120]).strip()
