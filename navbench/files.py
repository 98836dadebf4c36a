"""Files: written atomically, and identified by their content."""

import errno
import hashlib
import os
import re
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from navbench.errors import Failure, NavbenchError

LOCK_SECONDS = 30
"""How long a file that somebody else writes is waited for."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a system says of a full disk, or of a user's share of it."""
_PARTIAL = re.compile(r"\..+\.[a-z0-9_]{8}\.partial")
"""What a file is called while it is written; no other program calls its files so."""
ABANDONED = 3600.0
"""Seconds after which nobody writes to such a file any more; a write takes few."""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write to a temporary name in the same folder, then rename; folders are made as needed.

    Raises:
        NavbenchError: if the place may not be written to.
        Failure: if the disk is full or fails.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".partial", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_partial(folder: Path, older: float = ABANDONED) -> None:
    """Remove the files below a folder that killed writers left half written.

    Args:
        folder: whose files they are; it may be missing.
        older: than how many seconds; 0 is for who alone writes here.
    """
    for path in folder.rglob("*.partial"):
        with suppress(OSError):
            if _PARTIAL.fullmatch(path.name) and path.is_file() and time.time() - path.stat().st_mtime >= older:
                path.unlink()


def check_folder(folder: Path) -> None:
    """Make a folder, and refuse one that cannot be written to, before any work is done for it.

    Raises:
        NavbenchError, Failure: as `write_atomically`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
    except OSError as error:
        raise explained(error, folder) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file against all others who ask for it so, processes and threads alike, for read, change and write.

    What is renamed meanwhile is in its folder for good at the end, whatever happens to the machine.

    Raises:
        NavbenchError: if its folder may not be written to.
        Failure: somebody else holds it for longer than `LOCK_SECONDS`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS):
            yield
            _sync_folder(path.parent)
    except Timeout:
        raise Failure(f"{path} has been locked by another process for {LOCK_SECONDS} s; end that one.") from None
    except OSError as error:
        raise explained(error, path) from error


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk; no-op where a folder cannot be opened (Windows)."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def sealed(content: bytes) -> bytes:
    """Content behind a line that holds its SHA-256."""
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def unsealed(whole: bytes) -> bytes:
    """The content that was sealed.

    Raises:
        ValueError: it has changed since.
    """
    seal, _, content = whole.partition(b"\n")
    if seal.decode(errors="replace") != hashlib.sha256(content).hexdigest():
        raise ValueError("its content has changed")
    return content


def explained(error: OSError, path: Path) -> NavbenchError:
    """One sentence for an operating system's refusal to write."""
    if error.errno in FULL:
        return Failure(f"No space left while writing {path}; free some, then run the same command again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return NavbenchError(f"No permission to write {path}; choose another folder with --out.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return NavbenchError(f"{path} cannot be written: a file stands where a folder is needed, or the reverse.")
    return Failure(f"{path} cannot be written ({error.strerror}).")


def sha256(path: Path) -> str:
    """Of the content of a file, as sha256sum prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def walk(folder: Path) -> list[Path]:
    """All files in a folder and its subfolders, sorted; links are followed, and no folder is entered twice.

    A folder that a link leads to, too, is entered by its own name, so links beside it change nothing.

    Raises:
        OSError: a folder cannot be read.
    """
    found: list[Path] = []
    entered: set[tuple[int, int]] = set()
    folders, links = [folder], deque[Path]()
    while folders or links:
        here = folders.pop() if folders else links.popleft()
        status = here.stat()
        if (mark := (status.st_dev, status.st_ino)) in entered:
            continue
        entered.add(mark)
        for path in sorted(here.iterdir()):
            if path.is_dir():
                (links if path.is_symlink() else folders).append(path)
            elif path.is_file():
                found.append(path)
    return sorted(found)


def content_hash(path: Path) -> str:
    """SHA-256 of a file, or of all files in a folder with their names; a missing one is refused."""
    if not path.exists():
        raise NavbenchError(f"{path} does not exist; check the path.")
    digest = hashlib.sha256()
    try:
        for file in walk(path) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(path)} {file.stat().st_size}".encode())
            with file.open("rb") as content:
                while chunk := content.read(1 << 20):
                    digest.update(chunk)
    except OSError as error:
        raise NavbenchError(f"{path} cannot be read ({error.strerror}).") from error
    return digest.hexdigest()
