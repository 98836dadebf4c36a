"""Where a run lies: a folder of this machine, or a prefix in a bucket of an object store. One door to both.

Content lies under names, with '/' between their parts. Whatever is written is there whole or not at all.
"""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from navbench.errors import NavbenchError, unknown
from navbench.files import explained, remove_partial, write_atomically
from navbench.texts import leads_outside

Self = TypeVar("Self", bound="Place")


class Conflict(Exception):
    """A conditional write came too late: somebody else wrote first."""


@dataclass(frozen=True)
class Version:
    """Content as it was read, and a mark by which a conditional write knows it again."""

    content: bytes
    mark: Any


class Place(ABC):
    """Content by name. A place is plain data: it can be pickled, and costs nothing to make.

    All methods raise one-sentence errors: NavbenchError for what the user can mend, Failure for the rest.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The last part of its address."""

    @abstractmethod
    def within(self: Self, name: str) -> Self:
        """The place whose names begin with 'NAME/' here."""

    @abstractmethod
    def address(self, name: str) -> str:
        """How the user calls the content of that name."""

    @abstractmethod
    def file(self, name: str) -> Path | None:
        """The file of that name; `None` if the place has no files on this machine."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is content of that name."""

    @abstractmethod
    def names(self, folder: str = "") -> Iterator[str]:
        """All names, or those that begin with 'FOLDER/', in no order; content that is being written has none."""

    @abstractmethod
    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """The content, or its bytes from `start` to `stop`, or to its end.

        Raises:
            FileNotFoundError: there is none.
        """

    @abstractmethod
    def write(self, name: str, content: bytes | str) -> None:
        """Write content, in place of any of that name."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> Version:
        """Write content where there is none; of several at once, one succeeds.

        Raises:
            Conflict: there is content of that name.
        """

    @abstractmethod
    def version(self, name: str) -> Version | None:
        """The content as it is now; `None` if there is none."""

    @abstractmethod
    def replace(self, name: str, content: bytes, version: Version) -> Version:
        """Write content in place of that version; of several at once, one succeeds.

        Raises:
            Conflict: the content is another by now, or gone.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove content, if there is any."""

    @abstractmethod
    def clear(self, folder: str) -> None:
        """Remove everything whose name begins with 'FOLDER/'."""

    def tidy(self) -> None:  # noqa: B027 (an object is there whole or not at all)
        """Remove what writers that were killed left half written; nobody may be writing."""


@dataclass(frozen=True)
class Folder(Place):
    """A folder of this machine, which is made when something is written."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """See `Place`."""
        return self.path.resolve().name

    def within(self, name: str) -> "Folder":
        """See `Place`."""
        return Folder(self.path / name)

    def address(self, name: str) -> str:
        """See `Place`."""
        return str(self.path / name)

    def file(self, name: str) -> Path:
        """See `Place`; a name that leads out of the folder is refused."""
        if leads_outside(name):
            raise NavbenchError(f"{name!r} is no name of a file in {self.path}, as it may lead elsewhere.")
        return self.path / name

    def exists(self, name: str) -> bool:
        """See `Place`."""
        return self.file(name).exists()

    def names(self, folder: str = "") -> Iterator[str]:
        """See `Place`."""
        for path in self.file(folder).rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self.path).as_posix()

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """See `Place`."""
        with self.file(name).open("rb") as file:
            file.seek(start)
            return file.read(-1 if stop is None else stop - start)

    def write(self, name: str, content: bytes | str) -> None:
        """See `Place`."""
        write_atomically(self.file(name), content)

    def create(self, name: str, content: bytes) -> Version:
        """See `Place`."""
        return self._exchange(name, content, None)

    def version(self, name: str) -> Version | None:
        """See `Place`."""
        try:
            content = self.read(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explained(error, self.file(name)) from error
        return Version(content, content)

    def replace(self, name: str, content: bytes, version: Version) -> Version:
        """See `Place`."""
        return self._exchange(name, content, version)

    def _exchange(self, name: str, content: bytes, version: Version | None) -> Version:
        """Write content if what is there is of that version; under a lock of the operating system, which is hidden."""
        path = self.file(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock(name):
                if self.version(name) != version:
                    raise Conflict(self.address(name))
                write_atomically(path, content)
        except OSError as error:
            raise explained(error, path) from error
        return Version(content, content)

    def _lock(self, name: str) -> FileLock:
        path = self.file(name)
        return FileLock(path.with_name(f".{path.name}.lock"))

    def remove(self, name: str) -> None:
        """Remove the folder, if no file lies in it; who creates the file `name` meanwhile waits, and makes it anew."""
        with suppress(FileNotFoundError), self._lock(name):
            if not any(self.names()):
                shutil.rmtree(self.path)

    def delete(self, name: str) -> None:
        """See `Place`."""
        path = self.file(name)
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise explained(error, path) from error

    def clear(self, folder: str) -> None:
        """See `Place`."""
        self.delete(folder)

    def tidy(self) -> None:
        """See `Place`."""
        remove_partial(self.path, older=0)


SCHEMES = ("s3", "gs", "az", "memory")
"""Of URLs: Amazon S3 and what speaks its protocol, Google, Azure; and this process's memory, for tests."""
Where = str | Path | Place
"""How callers name a place: a URL, a folder, or the place itself."""


def place_at(where: Where) -> Place:
    """The place of a URL such as 's3://bucket/prefix', or of a folder."""
    if isinstance(where, Place):
        return where
    if isinstance(where, str) and "://" in where:
        if (scheme := where.partition("://")[0]) not in SCHEMES:
            raise unknown("kind of place", f"{scheme}://", [f"{scheme}://" for scheme in SCHEMES])
        from navbench.buckets import Bucket

        return Bucket.at(where)
    return Folder(Path(where))


@contextmanager
def mirrored(place: Place, files: Sequence[str] = (), folders: Sequence[str] = ()) -> Iterator[Path]:
    """A folder of this machine with some of a place's content; what is written into it ends at the place.

    A place that is such a folder is given as it is, and nothing is copied.
    """
    if (folder := place.file("")) is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="navbench-") as temporary:
        local = Folder(Path(temporary) / place.name)
        local.path.mkdir()
        wanted = [name for name in files if place.exists(name)]
        wanted += [name for folder_ in folders for name in place.names(folder_)]
        before = {name: place.read(name) for name in wanted}
        for name, content in before.items():
            local.write(name, content)
        try:
            yield local.path
        except NavbenchError as error:
            raise type(error)(str(error).replace(str(local), str(place))) from error
        finally:
            for name in local.names():
                if (content := local.read(name)) != before.get(name):
                    place.write(name, content)
