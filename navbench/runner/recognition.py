"""The directions of every set, learned by a reconstructor: how many it recognises, and which it confuses."""

from navbench.directions import DirectionSet
from navbench.experiments.recognition import Recogniser, Recognition
from navbench.runner.bench import Measurement
from navbench.runner.results import Results


def recognise(measurement: Measurement, results: Results) -> None:
    """Every set of the suite's methods, from the store or learned now; a set of one direction has no others."""
    methods = measurement.bench.suite.recognition.methods
    sets = [found for found in measurement.plan.sets if len(found) > 1 and (not methods or found.method in methods)]
    for found in sets:
        results.recognitions[found.reference] = _recognised(measurement, found)


def _recognised(measurement: Measurement, found: DirectionSet) -> Recognition:
    settings, seed = measurement.bench.suite.recognition, measurement.bench.suite.seed
    identities = [direction.identity for direction in found]
    key = measurement.key(recognition=settings.model_dump(exclude={"methods"}), directions=identities)
    with measurement.bench.stage(f"recognition of {found.reference}") as report:

        def make() -> Recognition:
            recogniser = Recogniser([measurement.edit(direction) for direction in found], seed, settings.learning_rate)
            return recogniser.run(settings.steps, settings.batch, settings.pairs, report)

        made = measurement.bench.store.get(Recognition, key, make)
        report(settings.steps, settings.steps)
    return made
