"""The directions of every set, learned by a reconstructor: how many it recognises, and which it confuses."""

from navbench.experiments.recognition import recognise as recognised
from navbench.runner.bench import Measurement
from navbench.runner.results import Results


def recognise(measurement: Measurement, results: Results) -> None:
    """Every set of the suite's methods, from the store or learned now; a set of one direction has no others."""
    settings, seed = measurement.bench.suite.recognition, measurement.bench.suite.seed
    methods = settings.methods
    for found in measurement.plan.sets:
        if len(found) < 2 or (methods and found.method not in methods):
            continue
        edits = [measurement.edit(direction) for direction in found]
        piece = recognised.piece(edits, seed, settings.learning_rate, settings.steps, settings.batch, settings.pairs)
        with measurement.bench.stage(f"recognition of {found.reference}") as report:
            (results.recognitions[found.reference],) = measurement.bench.executor.results([piece], report=report)
            report(settings.steps, settings.steps)
