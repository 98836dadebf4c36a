"""A real S3 server on loopback, moto's, that counts what it is asked for."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Request:
    """What the server was asked.

    Attributes:
        span: what its header Range says; '' for all.
    """

    method: str
    path: str
    status: int
    span: str

    @property
    def size(self):
        """Bytes that were asked for by a range."""
        first, _, last = self.span.removeprefix("bytes=").partition("-")
        return int(last) - int(first) + 1


@dataclass(frozen=True)
class Server:
    """The server.

    Attributes:
        client: boto3's.
        requests: all of them.
    """

    client: Any
    requests: list[Request]

    def bucket(self) -> str:
        """The URL of a new bucket."""
        name = f"b{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        self.requests.clear()
        return f"s3://{name}"

    def asked(self, method: str) -> list[Request]:
        """The requests of a method since the last bucket was made."""
        return [request for request in self.requests if request.method == method]


@contextmanager
def serving() -> Iterator[Server]:
    """A server, which the environment points obstore to."""
    for package in ("obstore", "moto.server", "flask_cors"):
        pytest.importorskip(package, reason=f"{package} is not installed; `pip install 'navbench[test]'` does it.")
    import boto3
    from moto.server import MotoRequestHandler, ThreadedMotoServer

    requests: list[Request] = []

    def record(handler, code="-", size="-"):
        requests.append(Request(handler.command, handler.path, int(code), handler.headers.get("Range", "")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MotoRequestHandler, "log_request", record)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
        }.items():
            patch.setenv(name, value)
        yield Server(boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1"), requests)
        server.stop()
