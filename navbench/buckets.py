"""A prefix in a bucket of an object store, by obstore: Amazon S3 and what speaks its protocol, Google's and Azure's."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from navbench.errors import Failure, NavbenchError
from navbench.places import Conflict, Place, Version

LARGEST_PUT = 4 << 30
"""Bytes; what is larger is uploaded in several parts, as S3 takes at most 5 GiB at once."""


@dataclass(frozen=True)
class Bucket(Place):
    """All that lies under a prefix.

    Keys, region and endpoint are what the environment says, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.

    Attributes:
        root: the URL of the bucket, such as 's3://bucket'.
        prefix: '' for all of the bucket.
    """

    root: str
    prefix: str = ""

    @classmethod
    def at(cls, url: str) -> "Bucket":
        """The place of a URL such as 's3://bucket/prefix'."""
        scheme, _, path = url.partition("://")
        bucket, _, prefix = path.partition("/")
        return cls(f"{scheme}://{bucket}", prefix.strip("/"))

    def __str__(self) -> str:
        return f"{self.root}/{self.prefix}".rstrip("/")

    @property
    def name(self) -> str:
        """See `Place`."""
        return str(self).rpartition("/")[2]

    def within(self, name: str) -> "Bucket":
        """See `Place`."""
        return Bucket(self.root, self._key(name))

    def address(self, name: str) -> str:
        """See `Place`."""
        return f"{self.root}/{self._key(name)}"

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}".strip("/")

    def file(self, name: str) -> None:
        """See `Place`."""
        return None

    def exists(self, name: str) -> bool:
        """See `Place`."""
        try:
            with self._client(name) as client:
                _obstore().head(client, self._key(name))
        except FileNotFoundError:
            return False
        return True

    def names(self, folder: str = "") -> Iterator[str]:
        """See `Place`."""
        with self._client(folder) as client:
            for some in _obstore().list(client, prefix=self._key(folder) or None):
                yield from (entry["path"].removeprefix(f"{self.prefix}/") for entry in some)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """See `Place`."""
        with self._client(name) as client:
            if stop is not None:
                return bytes(_obstore().get_range(client, self._key(name), start=start, end=stop))
            options = {"range": {"offset": start}} if start else {}
            return bytes(_obstore().get(client, self._key(name), options=options).bytes())

    def write(self, name: str, content: bytes | str) -> None:
        """See `Place`."""
        self._put(name, content.encode() if isinstance(content, str) else content, "overwrite")

    def create(self, name: str, content: bytes) -> Version:
        """See `Place`."""
        return self._put(name, content, "create")

    def version(self, name: str) -> Version | None:
        """See `Place`."""
        try:
            with self._client(name) as client:
                result = _obstore().get(client, self._key(name))
                return Version(bytes(result.bytes()), _mark(result.meta))
        except FileNotFoundError:
            return None

    def replace(self, name: str, content: bytes, version: Version) -> Version:
        """See `Place`."""
        return self._put(name, content, version.mark)

    def _put(self, name: str, content: bytes, mode: Any) -> Version:
        """One PUT, conditional by `mode`: obstore's, or the mark of the version that is replaced."""
        errors = _obstore().exceptions
        try:
            with self._client(name) as client:
                parts = len(content) > LARGEST_PUT
                meta = _obstore().put(client, self._key(name), content, mode=mode, use_multipart=parts)
            return Version(content, _mark(meta))
        except (errors.AlreadyExistsError, errors.PreconditionError) as error:
            raise Conflict(self.address(name)) from error
        except FileNotFoundError as error:
            raise NavbenchError(f"There is no bucket for {self.address(name)}; make it, or correct the URL.") from error

    def delete(self, name: str) -> None:
        """See `Place`."""
        with self._client(name) as client:
            try:
                _obstore().delete(client, self._key(name))
            except FileNotFoundError:
                return

    def clear(self, folder: str) -> None:
        """See `Place`."""
        keys = list(map(self._key, self.names(folder)))
        if keys:
            with self._client(folder) as client:
                _obstore().delete(client, keys)

    @contextmanager
    def _client(self, name: str) -> Iterator[Any]:
        """The client of the bucket; errors become one sentence, but for those that are answers."""
        errors = _obstore().exceptions
        try:
            yield _client_of(self.root)
        except (errors.AlreadyExistsError, errors.PreconditionError):
            raise
        except (errors.PermissionDeniedError, errors.UnauthenticatedError) as error:
            raise NavbenchError(
                f"No permission for {self.address(name)}; check the keys in the environment, such as AWS_ACCESS_KEY_ID."
            ) from error
        except (errors.UnknownConfigurationKeyError, errors.InvalidPathError) as error:
            raise NavbenchError(f"{self.address(name)} is no address of an object store ({_first(error)}).") from error
        except errors.BaseError as error:
            raise Failure(f"{self.address(name)} cannot be reached ({_first(error)}).") from error


def _mark(meta: Any) -> dict[str, str]:
    """What the store knows a version by: its ETag, its number, or both."""
    return {key: meta[key] for key in ("e_tag", "version") if meta[key] is not None}


def _first(error: Exception) -> str:
    """The beginning of an error's text, which may be a page."""
    return str(error).strip().splitlines()[0].rstrip(".")[:200]


@cache
def _client_of(url: str) -> Any:
    """One client per bucket and process, which keeps its connections."""
    return _obstore().store.from_url(f"{url}/")


def _obstore() -> Any:
    try:
        import obstore
        import obstore.store
    except ImportError as error:
        raise NavbenchError(
            "Object stores need the package obstore; install it with `pip install 'navbench[cloud]'`."
        ) from error
    return obstore
