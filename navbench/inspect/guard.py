"""Who may ask the server of `navbench inspect` for anything: the browser that was given its address, alone."""

import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")


class Guard:
    """Lets through what is meant for this address, comes from its own page, and knows the token; all else gets 403.

    The address holds the token once. Its answer sets a cookie, `HttpOnly` and `SameSite=Strict`: so reloads and second
    tabs work, the script never knows the token, no other site can use it, and the page takes it out of the address bar.
    Cookies do not know ports, so pages of other servers of this machine might use it; `Host` (of a rebound name),
    `Origin` (which must be there when anything is written) and `Sec-Fetch-Site` tell them apart.
    """

    def __init__(self, app: ASGIApp, token: str, port: int, headers: dict[str, str]) -> None:
        """Guard an application.

        Args:
            app: the application.
            token: that its address holds.
            port: that it listens on.
            headers: of every answer.
        """
        self.app, self.token, self.port = app, token, port
        self.cookie = f"navbench-inspect-{port}"  # by port, as servers of one host share their cookies
        self.hosts = {f"{host}:{port}" for host in HOSTS} | (set(HOSTS) if port == 80 else set())
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        greeted = scope["path"] == "/" and self._is_token(_query(scope, "token"))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self.headers, *self._greeting(greeted)]}
            await send(message)

        refused = self._refusal(scope, greeted)
        app = self.app if refused is None else PlainTextResponse(refused, 403)
        await app(scope, receive, answer)

    def _refusal(self, scope: Scope, greeted: bool) -> str | None:
        """Why a request is refused; `None` if it is not."""
        hosts, origins = _header(scope, b"host"), _header(scope, b"origin")
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return "This server answers on its own address alone."
        writes = scope["method"] not in ("GET", "HEAD")
        if len(origins) > 1 or not all(origin in {f"http://{host}" for host in self.hosts} for origin in origins):
            return "This server answers its own page alone."
        if writes and not origins:
            return "This server changes something for its own page alone."
        if not greeted and not set(_header(scope, b"sec-fetch-site")) <= {"same-origin", "none"}:
            return "This server answers its own page alone."
        if not greeted and not any(map(self._is_token, self._cookies(scope))):
            return "Open the address that navbench inspect printed; it holds a token."
        return None

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self.token.encode())

    def _cookies(self, scope: Scope) -> Iterable[str]:
        for header in _header(scope, b"cookie"):
            yield cookie_parser(header).get(self.cookie, "")

    def _greeting(self, greeted: bool) -> list[tuple[bytes, bytes]]:
        cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
        return [(b"set-cookie", cookie.encode())] if greeted else []


def _header(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _query(scope: Scope, name: str) -> str:
    return (parse_qs(scope["query_string"].decode("latin-1")).get(name) or [""])[0]
