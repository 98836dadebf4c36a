"""What goes wrong while a suite runs: killed, suspended and cut-off processes, damaged pieces, and a full disk.

A trial starts a run as a program, does it one mischief at a random moment, goes on with the run until it is finished,
and compares it with one that nothing disturbed.
"""

import csv
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drive import STALE

from navbench.runner.lease import LEASE
from navbench.runner.lease import _born as born

HERE = Path(__file__).parent
WHO = {"driver": (), "processes": ("--workers", "2"), "ray": ("--workers", "2", "--ray")}
"""Who computes, as options of `navbench run-all`."""
LONGEST = 600.0
"""Seconds after which a driver is taken to hang."""
PAUSE = 0.05
DISK_MIB = 256


class Unavailable(Exception):
    """This machine does not allow the mischief; the message says why."""


# --- processes ---------------------------------------------------------------------------------------------------


def descendants(process: int) -> list[int]:
    """The processes that any thread of a process has started, and theirs."""
    children = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children += [int(pid) for pid in path.read_text().split()]
        except OSError:  # the thread has ended
            continue
    return [*children, *(inner for child in children for inner in descendants(child))]


def computes(process: int) -> bool:
    """Whether a process is there, and none of Ray's agents, which notice only minutes later that their node is gone."""
    return born(process) != "" and "Agent" not in command_of(process)


def command_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def is_worker(process: int) -> bool:
    """Whether it computes pieces for a driver."""
    command = command_of(process)
    return "--multiprocessing-fork" in command or command.startswith("ray::_Actor")


def wait_until_ended(processes: dict[int, str], seconds: float = 30.0) -> list[int]:
    """Those of some processes, with the times at which they were born, that still compute after so long."""
    deadline = time.monotonic() + seconds
    while True:
        left = [pid for pid, birth in processes.items() if born(pid) == birth and computes(pid)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(PAUSE)


# --- runs --------------------------------------------------------------------------------------------------------


def tables_of(run: Path) -> dict[str, list[list[str]]]:
    """The cells of every table, without the columns of seconds, which no two runs share."""
    tables = {}
    for path in sorted((run / "tables").glob("*.csv")):
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        kept = [index for index, name in enumerate(header) if name != "seconds"]
        tables[path.name] = [[row[index] for index in kept] for row in (header, *rows)]
    return tables


def cached(run: Path) -> set[str]:
    """The files in the cache of a run, hidden ones, too."""
    return {path.relative_to(run / "cache").as_posix() for path in (run / "cache").rglob("*") if path.is_file()}


def pieces_of(run: Path) -> list[Path]:
    return sorted(path for path in (run / "cache").rglob("*.safetensors") if not path.name.startswith("."))


@dataclass(frozen=True)
class Suite:
    """What all trials run.

    Attributes:
        file: of TOML.
        options: further ones of `navbench run-all`.
    """

    file: Path
    options: tuple[str, ...] = ()


@dataclass
class Driver:
    """A program that drives a run."""

    process: subprocess.Popen
    log: Path

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def sentence(self) -> str:
        """The last line that it has printed."""
        return (self.output.strip().splitlines() or [""])[-1]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@dataclass
class Trial:
    """A run in a folder, and its drivers one after the other.

    Attributes:
        who: a key of `WHO`.
        chance: what is random about the mischief.
        moment: after which share of its pieces the mischief is done, in [0, 1).
        delay: seconds by which the mischief is done later, so that it falls within a piece.
        pieces: of an undisturbed run.
        options: of who computes; `None` for those of `who`.
        run: the folder of the run.
        drivers: those that were started.
        faults: what should not have happened.
        seen: the processes that drivers have started, with the times at which they were born.
        resources: what is let go of at the end: disks and clusters.
    """

    suite: Suite
    folder: Path
    who: str
    chance: random.Random
    moment: float = 0.0
    delay: float = 0.0
    pieces: int = 1
    options: tuple[str, ...] | None = None
    run: Path = field(init=False)
    drivers: list[Driver] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seen: dict[int, str] = field(default_factory=dict)
    resources: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.run = self.folder / "run"

    def start(self) -> Driver:
        """Start a driver, or a further one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = WHO[self.who] if self.options is None else self.options
        line = ["run-all", self.suite.file, "--out", self.run, *self.suite.options, *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        log = self.folder / f"driver-{len(self.drivers) + 1}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, HERE / "drive.py", *line], stdout=file, stderr=subprocess.STDOUT, env=environment
            )
        self.drivers.append(Driver(process, log))
        return self.drivers[-1]

    def watch(self, driver: Driver, enough: Callable[[], bool], seconds: float = LONGEST) -> bool:
        """Wait until something is so; `False` if the driver ends before, or so many seconds pass."""
        deadline = time.monotonic() + seconds
        while not driver.ended and time.monotonic() < deadline:
            self.seen |= {pid: born(pid) for pid in descendants(driver.process.pid)}
            if enough():
                return True
            time.sleep(PAUSE)
        return False

    def begin(self) -> Driver:
        """Start the driver, and wait for the moment of the mischief."""
        driver = self.start()
        least = max(1, int(self.moment * self.pieces))
        self.watch(driver, lambda: len(pieces_of(self.run)) >= least)
        until = time.monotonic() + self.delay
        self.watch(driver, lambda: time.monotonic() >= until)
        return driver

    def end(self, driver: Driver) -> int:
        """Wait for the end of a driver; its exit code."""
        self.watch(driver, lambda: False)
        if not driver.ended:
            self.faults.append(f"driver {driver.process.pid} hangs")
            driver.signal(signal.SIGKILL)
        code = driver.process.wait()
        if "Traceback" in driver.output:
            self.faults.append("a driver ended with a traceback")
        return code

    def kill(self, driver: Driver) -> None:
        """Kill a driver, whose workers must end by themselves."""
        self.seen |= {pid: born(pid) for pid in descendants(driver.process.pid)}
        driver.signal(signal.SIGKILL)
        driver.process.wait()
        self.check_processes()

    def expect(self, driver: Driver, code: int, words: str) -> None:
        """Make sure that a driver has ended so, with a sentence."""
        if driver.process.returncode != code or words not in driver.sentence:
            self.faults.append(f"a driver ended with {driver.process.returncode}: {driver.sentence!r}, not {words!r}")

    def finish(self, driver: Driver) -> None:
        """Have the run finished by a driver that may have ended, or by another."""
        code = self.end(driver)
        if code:
            code = self.end(driver := self.start())
        if code:
            self.faults.append(f"the run cannot be finished: {driver.sentence}")

    def check_processes(self) -> None:
        """Make sure that no worker is left."""
        if left := wait_until_ended(self.seen):
            self.faults.append(f"still alive: {[command_of(process)[:60] for process in left]}")
            for process in left:
                os.kill(process, signal.SIGKILL)

    def check(self, undisturbed: Path) -> None:
        """Compare a finished run with one that nothing disturbed."""
        self.check_processes()
        tables, expected = tables_of(self.run), tables_of(undisturbed)
        if different := sorted(name for name in tables | expected if tables.get(name) != expected.get(name)):
            self.faults.append(f"other tables: {', '.join(different)}")
        files, names = cached(self.run), cached(undisturbed)
        if files != names:
            self.faults.append(f"cache: {sorted(files - names)} left over, {sorted(names - files)} missing")


# --- mischief ----------------------------------------------------------------------------------------------------


def kill_driver(trial: Trial) -> None:
    """Kill the driver, and start again."""
    driver = trial.begin()
    trial.kill(driver)
    trial.finish(trial.start())


def kill_worker(trial: Trial) -> None:
    """Kill a worker, while the driver goes on."""
    driver = trial.begin()
    workers = sorted(process for process in descendants(driver.process.pid) if is_worker(process))
    if workers:
        os.kill(trial.chance.choice(workers), signal.SIGKILL)
    trial.finish(driver)


def damage_stopped(trial: Trial) -> None:
    """Damage a piece between two drivers."""
    driver = trial.begin()
    trial.kill(driver)
    damage(trial)
    trial.finish(trial.start())


def damage_going(trial: Trial) -> None:
    """Damage a piece while a driver goes on."""
    driver = trial.begin()
    damage(trial)
    trial.finish(driver)


def damage(trial: Trial) -> None:
    """Flip a bit of a stored piece, cut its end off, or replace all of it."""
    pieces = pieces_of(trial.run)
    if not pieces:
        return
    piece = trial.chance.choice(pieces)
    try:
        content = bytearray(piece.read_bytes())
    except FileNotFoundError:  # it was transient
        return
    kind = trial.chance.choice(("flip", "truncate", "rubbish"))
    if kind == "flip":
        content[trial.chance.randrange(len(content))] ^= 1 << trial.chance.randrange(8)
    elif kind == "truncate":
        del content[trial.chance.randrange(len(content)) :]
    else:
        content[:] = trial.chance.randbytes(len(content))
    damaged = piece.with_name(f".{piece.name}.damaged")
    damaged.write_bytes(content)
    damaged.replace(piece)


def fill_disk(trial: Trial) -> None:
    """Fill the disk until the driver ends, then make space."""
    disk = trial.folder / "disk"
    trial.resources.enter_context(mounted(disk))
    trial.run = disk / "run"
    driver = trial.begin()
    with (disk / "ballast").open("wb") as ballast:
        trial.watch(driver, lambda: fill(ballast))
    code = trial.end(driver)
    if code:
        trial.expect(driver, 1, "No space left while writing")
    (disk / "ballast").unlink()
    trial.finish(driver if not code else trial.start())


def fill(file) -> bool:
    """Make a file as long as its disk allows; `False`, as there may be space again in a moment."""
    free = os.statvfs(file.fileno())
    size = free.f_bavail * free.f_frsize
    try:
        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size or free.f_frsize)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    return False


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small disk of its own, in memory."""
    folder.mkdir(parents=True)
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = f"size={DISK_MIB}m,mode=777"
    try:
        subprocess.run(
            [*root, "mount", "-t", "tmpfs", "-o", options, "navbench", folder], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable("this machine does not let its user mount a disk that could be filled") from error
    try:
        yield
    finally:
        subprocess.run([*root, "umount", "--lazy", folder], check=True)


def suspend_driver(trial: Trial) -> None:
    """Suspend the driver for longer than its lease lasts, have another take over, and wake it."""
    driver = trial.begin()
    held = (trial.run / LEASE).exists()
    driver.signal(signal.SIGSTOP)
    time.sleep(STALE)
    other = trial.start()
    trial.watch(other, lambda: holder_of(trial.run) == other.process.pid, seconds=60)
    driver.signal(signal.SIGCONT)
    if trial.end(driver):
        trial.expect(driver, 1, f"is in use by process {other.process.pid}")
    elif held and holder_of(trial.run) == other.process.pid:
        trial.faults.append("a driver that had lost its lease went on to its end")
    trial.finish(other)


def holder_of(run: Path) -> int | None:
    """The process that holds the lease of a run."""
    try:
        return json.loads((run / LEASE).read_bytes())["pid"]
    except (OSError, ValueError):
        return None


def remove_node(trial: Trial) -> None:
    """Remove one of two nodes of a Ray cluster, with what is computed there."""
    cluster = trial.resources.enter_context(two_nodes())
    trial.options = ("--workers", "2", "--ray", cluster.address)
    driver = trial.begin()
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    trial.finish(driver)


@contextmanager
def two_nodes() -> Iterator:
    """A Ray cluster of two nodes on this machine, which is not joined."""
    try:
        from ray.cluster_utils import Cluster

        from navbench.runner.ray_cluster import OBJECT_STORE_BYTES
    except ImportError as error:
        raise Unavailable("Ray is not installed; pip install 'navbench[ray]'") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 2, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        cluster.add_node(**node)
        yield cluster
    finally:
        cluster.shutdown()


MISCHIEF: dict[str, tuple[Callable[[Trial], None], tuple[str, ...]]] = {
    "kill the driver": (kill_driver, ("driver", "processes", "ray")),
    "kill a worker": (kill_worker, ("processes", "ray")),
    "damage a piece of a stopped run": (damage_stopped, ("driver", "processes", "ray")),
    "damage a piece of a going run": (damage_going, ("driver", "processes", "ray")),
    "fill the disk": (fill_disk, ("driver", "processes", "ray")),
    "suspend the driver": (suspend_driver, ("driver", "processes", "ray")),
    "remove a node": (remove_node, ("ray",)),
}
"""Every mischief by its name, and to whom it can be done."""


def tried(trial: Trial, mischief: str, undisturbed: Path) -> None:
    """Do a mischief to a run, and compare it; what should not have happened is in the trial's `faults`.

    Args:
        trial: that has not begun.
        mischief: a key of `MISCHIEF`.
        undisturbed: the folder of a run of the same suite.

    Raises:
        Unavailable: this machine does not allow the mischief.
    """
    with trial.resources:
        try:
            MISCHIEF[mischief][0](trial)
            trial.check(undisturbed)
            if trial.faults:
                shutil.copytree(trial.run, trial.folder / "kept", dirs_exist_ok=True)
        finally:
            for driver in trial.drivers:
                if not driver.ended:
                    driver.signal(signal.SIGKILL)
                    driver.process.wait()
