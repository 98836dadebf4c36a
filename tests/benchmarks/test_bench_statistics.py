"""Statistics of curves: what all pairs of images cost, and how time and memory grow with the size of a run.

Old ways are spelled out as they were, and measured in the same run.
"""

import shutil
import time
from pathlib import Path

import pytest
import torch
from analytic import Quadratic, edit, noise, wrapped
from rich.console import Console
from rich.table import Table
from safetensors import safe_open

from navbench.compute import Compute, batches, peak_memory, reset_peak_memory
from navbench.experiments.fid_curve import curve, curve_shard, reference_statistics, unshifted_features
from navbench.metrics.pairwise import MOST, PairwiseReference
from navbench.runner.executor import InProcess
from navbench.runner.store import Store

COMPUTE = Compute(batch=256)


@pytest.fixture
def say(capsys):
    """Prints a table or a sentence at the terminal, whatever pytest captures."""

    def printed(what):
        with capsys.disabled():
            Console(width=120).print("\n", what)

    return printed


# --- all pairs


def all_products(x, y):
    """The kernel distance and all four shares as they were: every product of x and y, and of x and itself, twice."""
    dimensions = x.shape[1]
    for other in (x, y):
        for rows in x.split(1024):
            ((rows @ other.T / dimensions + 1) ** 3).sum(dim=1)
    norms = y.square().sum(dim=1)
    for other, other_norms in ((x, x.square().sum(dim=1)), (y, norms)):
        for rows in x.split(1024):
            both = rows.square().sum(dim=1, keepdim=True) + other_norms
            squared = both - 2 * (rows @ other.T)
            torch.where(squared > 1e-10 * both, squared, 0.0).kthvalue(4, dim=1)


@pytest.mark.benchmark(group="KID, precision, recall, density and coverage at one shift, 50,000 x 2048 features")
def test_numbers_of_all_pairs(benchmark, say):
    """The old way is measured on 4,096 of each, and its time taken as that of a pair, times the pairs of 50,000."""
    n, few = 50_000, 4096
    x, y = noise(0, MOST, 2048), noise(1, MOST, 2048)
    reference = PairwiseReference.of(y)
    new = seconds(lambda: benchmark.pedantic(lambda: reference.measure(x), rounds=1))
    old = seconds(lambda: all_products(x[:few].double(), y[:few].double())) * (n / few) ** 2
    part = PairwiseReference.of(y[:few])
    shared = seconds(lambda: part.measure(x[:few])) * (n / few) ** 2
    benchmark.extra_info.update(old_seconds_by_pair=round(old), same_n_ratio=old / shared, ratio=old / new)
    say(f"{n:,} x 2048: {old:.0f} s as it was (by pair), {shared:.0f} s shared (by pair), {new:.1f} s with the first "
        f"{MOST:,}: {old / shared:.1f} and {old / new:.0f} times")  # fmt: skip


# --- growth


class Thin:
    """An extractor that costs nothing: rectified random projections of the pixels."""

    name, metric = "thin", "FD"

    def __init__(self, dimensions):
        self.dimensions, self.cache_key = dimensions, ["thin", dimensions]
        self.matrix = noise(3, 192, dimensions) / 14

    def __call__(self, images):
        return torch.relu(images.flatten(1) @ self.matrix)


class Pixels(Quadratic):
    """The distance of the pixels."""

    cache_key = "pixels"


LAYERS = ("reflect", "wide", "up", "last")


def pieces(n, shifts, directions=1, layers=1, dimensions=64, most=1000, shard=500, transient=True):
    """The curves of some directions of each of some layers."""
    generator, extractor, shares = wrapped(), Thin(dimensions), batches(n, shard)
    seen = (0, extractor, COMPUTE)
    real = tuple(unshifted_features.piece(generator, "reference", indices, *seen) for indices in shares)
    reference = reference_statistics.piece(real, most, COMPUTE)
    along = tuple(torch.linspace(-2, 2, 2 * shifts).tolist()[::2])
    curves = []
    for layer in LAYERS[:layers]:
        for seed in range(directions):
            made = edit(generator, noise(seed, *generator.layer(layer).shape), COMPUTE, layer=layer)
            parts = (curve_shard.piece(made, along, indices, 0, extractor, Pixels(), 10) for indices in shares)
            curves.append(curve.piece(tuple(part.but(transient=transient) for part in parts), reference, COMPUTE))
    return curves


class Measured:
    """Some curves from a reference that is there.

    Attributes:
        seconds: of a processor.
        growth, peak: of memory, in MiB.
        disk: the most that was on disk, in MiB.
    """

    def __init__(self, folder, wanted):
        self.disk = 0.0
        shutil.rmtree(folder, ignore_errors=True)
        store = Store(folder)

        def tick(note):
            sizes = [path.stat().st_size for path in Path(folder).rglob("*.safetensors")]
            self.disk = max(self.disk, sum(sizes) / 2**20)

        *_, reference = wanted[0].parts()
        InProcess(store).results([reference])
        reset_peak_memory(COMPUTE.device)
        before = peak_memory(COMPUTE.device)
        self.seconds = seconds(lambda: InProcess(store).results(wanted, tick))
        self.peak = peak_memory(COMPUTE.device)
        self.growth = self.peak - before


BASE = {"n": 2000, "shifts": 4, "directions": 1, "layers": 1}
VARIED = {"n": (2000, 4000, 8000), "shifts": (4, 8, 16), "directions": (1, 2, 4), "layers": (1, 2, 4)}
"""What a run's size is made of; what more workers make of it is in test_bench_workers.py."""


@pytest.mark.benchmark(group="growth of curves with the size of a run")
def test_growth_of_curves(benchmark, say, tmp_path):
    """The last column is 1 where seconds are in proportion to what is varied."""
    table = Table("varied", "value", "seconds", "memory grows by, MiB", "most on disk, MiB", "seconds by value")

    def grow():
        for name, values in VARIED.items():
            first = None
            for value in values:
                found = Measured(tmp_path / "store", pieces(**BASE | {name: value}))
                each = found.seconds / value
                first = first or each
                numbers = (f"{found.seconds:.2f}", f"{found.growth:.0f}", f"{found.disk:.0f}", f"{each / first:.2f}")
                table.add_row(name, str(value), *numbers)

    Measured(tmp_path / "store", pieces(**BASE))
    benchmark.pedantic(grow, rounds=1)
    say(table)


@pytest.mark.benchmark(group="memory of a curve, 20,000 codes, 48 shifts, 512 features")
def test_memory_of_a_curve(benchmark, say, tmp_path):
    """The old way mapped the shards of all codes at once, and held one shift of all of them at double precision."""
    n, shifts, dimensions = 20_000, 48, 512
    wanted = pieces(n, shifts, dimensions=dimensions, shard=256, transient=False)
    found = benchmark.pedantic(lambda: Measured(tmp_path / "store", wanted), rounds=1)
    *shards, _ = wanted[0].parts()
    store = Store(tmp_path / "store")
    reset_peak_memory(COMPUTE.device)
    before = peak_memory(COMPUTE.device)
    files = [safe_open(store.place.file(store.name(shard)), framework="pt") for shard in shards]
    for index in range(shifts):
        features = torch.cat([file.get_slice("features")[index] for file in files]).double()
        (features - features.mean(dim=0)).sum()
    old = peak_memory(COMPUTE.device) - before
    facts = {"peak_mib": round(found.peak), "growth_mib": round(found.growth), "old_growth_mib": round(old)}
    benchmark.extra_info.update(facts)
    say(f"{n:,} codes, {shifts} shifts, {dimensions} features ({n * shifts * dimensions * 4 / 2**30:.1f} GiB): memory "
        f"grows by {found.growth:.0f} MiB to {found.peak:.0f} MiB, and grew by {old:.0f} MiB before; "
        f"at most {found.disk:.0f} MiB on disk")  # fmt: skip
    assert found.growth < 256  # the goal is a peak below 1,536 MiB, which other benchmarks of one process hide


def seconds(call):
    """How long a call takes of the process's own time, as others may use the machine, too."""
    begun = time.process_time()
    call()
    return time.process_time() - begun
