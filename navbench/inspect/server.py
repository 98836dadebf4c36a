"""The server of `navbench inspect`, for this machine alone: its page, frames on demand, and names that are kept."""

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from navbench.errors import Failure, NavbenchError
from navbench.inspect.bench import MOST_STACKED, parse_codes, parse_stack
from navbench.inspect.frames import MOST_CODES, BusyError, Frames, Order, SupersededError, fitting_side, render_on
from navbench.inspect.guard import Guard
from navbench.inspect.journal import Saved
from navbench.inspect.page import assembled
from navbench.inspect.session import Session
from navbench.naming import Naming

LOOPBACK = "127.0.0.1"
_LARGEST_BODY = 2**16
_LONGEST_TAB = 64
_SECONDS_TO_STOP = 3


def application(session: Session, frames: Frames, token: str, port: int) -> ASGIApp:
    """The application, behind its guard."""
    page, policy = assembled("inspect")
    views = _Views(session, frames, page)

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        yield
        frames.close()

    routes = [
        Route("/", views.page),
        Route("/state", views.state),
        Route("/names", views.names),
        Route("/names", views.save, methods=["POST"]),
        Route("/undo", views.undo, methods=["POST"]),
        Route("/frames", views.frame),
    ]
    app = Starlette(routes=routes, lifespan=life, exception_handlers={NavbenchError: _refused, HTTPException: _missing})
    headers = {
        "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return Guard(app, token, port, headers)


class _Views:
    """What the server answers."""

    def __init__(self, session: Session, frames: Frames, page: str) -> None:
        self.session, self.frames, self.html = session, frames, page

    async def page(self, _request: Request) -> Response:
        """The page, which is the same for all."""
        return HTMLResponse(self.html)

    async def state(self, _request: Request) -> Response:
        """What there is to look at, and what is said of it."""
        session = self.session
        names = await run_in_threadpool(self._names)
        directions = [
            {"name": name, "method": file.header["method"], "place": file.place, "space": file.header["space"]}
            for name, (file, _) in zip(session.shelf.names, session.shelf.places, strict=True)
        ]
        photos = [{"name": each.photo.name, "space": each.space, "layer": each.layer} for each in session.album]
        return JSONResponse(
            {
                "generator": session.generator.name,
                "size": list(session.generator.size),
                "seed": session.seed,
                "directions": directions,
                "photos": photos,
                "kept": session.journal.paths,
                "most_stacked": MOST_STACKED,
                "most_codes": MOST_CODES,
                **names,
            }
        )

    async def names(self, request: Request) -> Response:
        """What is said of all directions; nothing if that is the version that is known already."""
        names = await run_in_threadpool(self._names)
        if request.query_params.get("version") == names["version"]:
            return Response(status_code=204)
        return JSONResponse(names)

    def _names(self) -> dict[str, Any]:
        namings = self.session.journal.namings()
        return {"version": self.session.journal.version(namings), "namings": [asdict(naming) for naming in namings]}

    async def save(self, request: Request) -> Response:
        """Change what is said of a direction; when the answer comes, it is on the disk."""
        body = await _body(request)
        number, changes, seen, tab = (body.get(key) for key in ("number", "changes", "seen", "tab"))
        if type(number) is not int or not isinstance(changes, dict) or not isinstance(seen, dict):
            raise NavbenchError("A change needs the number of a direction, what changes, and what was seen before.")
        saved = await run_in_threadpool(self.session.journal.save, number, changes, seen, _tab(tab))
        return JSONResponse(_told(saved))

    async def undo(self, request: Request) -> Response:
        """Take back the last change of a tab."""
        body = await _body(request)
        saved = await run_in_threadpool(self.session.journal.undo, _tab(body.get("tab")))
        return JSONResponse(_told(saved) if saved is not None else {"number": None})

    async def frame(self, request: Request) -> Response:
        """A sheet of images: a row per stack, a column per code."""
        query = request.query_params
        order = _order(query.get("stacks", ""), query.get("codes", ""), query.get("side", ""))
        lane = query.get("lane", "")[: 2 * _LONGEST_TAB]
        try:
            frame = await asyncio.wrap_future(self.frames.ask(order, lane, urgent=bool(lane)))
        except BusyError:
            return JSONResponse({"error": "Too many frames wait; ask again."}, 503, {"Retry-After": "1"})
        except SupersededError:
            return JSONResponse({"error": "A later frame was asked for."}, 409)
        timing = f"render;dur={frame.milliseconds:.1f}"
        return Response(frame.content, media_type=frame.kind, headers={"Server-Timing": timing})


def _order(stacks: str, codes: str, side: str) -> Order:
    if not (side.isascii() and side.isdigit() and len(side) < 6):
        raise NavbenchError("A frame needs the side of its images in pixels, such as side=256.")
    return Order(tuple(map(parse_stack, stacks.split(";"))), parse_codes(codes), fitting_side(int(side)))


def _told(saved: Saved) -> dict[str, Any]:
    replaced: Naming | None = saved.replaced
    return {
        "number": saved.number,
        "naming": asdict(saved.naming),
        "replaced": None if replaced is None else asdict(replaced),
    }


def _tab(text: Any) -> str:
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST_TAB:
        raise NavbenchError("A change needs the word that its tab is known by.")
    return text


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that a request holds, if it is not too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "This server reads application/json.")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _LARGEST_BODY:
            raise HTTPException(413, "That is too large.")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise NavbenchError("That is no JSON object.")
    return body


async def _refused(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 500 if isinstance(error, Failure) else 400)


async def _missing(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


def listening(port: int) -> socket.socket:
    """A socket that listens on a port of this machine alone; 0 for any that is free.

    Raises:
        NavbenchError: the port is taken.
    """
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((LOOPBACK, port))
        opened.listen(1024)
    except OSError as error:
        opened.close()
        raise NavbenchError(f"Port {port} cannot be used ({error.strerror}); choose another by --port.") from None
    return opened


class _Server(uvicorn.Server):
    """Lets go of frames before it waits for those who asked for them."""

    def __init__(self, config: uvicorn.Config, frames: Frames) -> None:
        super().__init__(config)
        self._frames = frames

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer whoever waits for a frame, then end."""
        self._frames.dismiss()
        await super().shutdown(sockets)


def serve(session: Session, port: int, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C, or another signal that asks to end.

    Args:
        session: what is inspected.
        port: 0 for any that is free.
        ready: is given the address, which holds the token, when requests are listened to.
    """
    token = secrets.token_urlsafe(24)
    with listening(port) as opened:
        found = opened.getsockname()[1]
        frames = Frames(render_on(session.bench))
        app = application(session, frames, token, found)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, proxy_headers=False, server_header=False, ws="none",
            timeout_graceful_shutdown=_SECONDS_TO_STOP,
        )  # fmt: skip
        ready(f"http://{LOOPBACK}:{found}/?token={token}")
        _Server(config, frames).run(sockets=[opened])
