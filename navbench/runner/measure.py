"""The experiments on one generator: every piece is taken from the store, or made and stored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import torch

from navbench.directions import Direction, DirectionSet
from navbench.errors import NavbenchError
from navbench.experiments import direction_table, locality, reproduction, strips
from navbench.metrics.attributes import Scorer
from navbench.runner import pictures
from navbench.runner.bench import Measurement
from navbench.runner.curves import CurveMeasurement
from navbench.runner.matched import match
from navbench.runner.pairs import pairs
from navbench.runner.photos import check_edits, edit_photos
from navbench.runner.ranges import calibrated
from navbench.runner.recognition import recognise
from navbench.runner.results import Results
from navbench.runner.spans import overlaps, stability
from navbench.runner.survey import survey
from navbench.spaces import Space, describe
from navbench.spaces import create as create_space


@dataclass(frozen=True)
class Experiments(Measurement):
    """All experiments of a suite on one generator."""

    def results(self) -> Results:
        """Every piece of every experiment, from the store or made now; over the ranges that the suite asks for."""
        over, ranges = calibrated(self)
        results = over._measured()
        results.ranges = ranges
        return results

    def _measured(self) -> Results:
        suite, plan_ = self.bench.suite, self.plan
        results = Results(self.generator, plan_, self.bench.extractor.metric, scorer=self.scorer)
        chosen = plan_.all_directions()
        realism = self._realism(results)
        self._screen(results, chosen)
        curved = plan_.leading(suite.curves.directions) if "curves" in suite.experiments else []
        matched = self._to_match()
        if self.scorer is not None and ("attributes" in suite.experiments or matched):
            self._attributes(results, self.scorer, chosen)
        if curved or matched:
            self._curves(results, curved, matched, realism())
        if "locality" in suite.experiments:
            self._locality(results, plan_.leading(suite.locality.directions))
        if "reproduction" in suite.experiments:
            self._reproduction(results, plan_.leading(suite.reproduction.directions))
        if "strips" in suite.experiments:
            self._strips(results, plan_.leading(suite.strips.directions))
        if not plan_.only:
            overlaps(self, results)
        if "survey" in suite.experiments and plan_.surveyed:
            survey(self, results, realism)
        if "pairs" in suite.experiments and not plan_.only:
            pairs(self, results, realism)
        if "recognition" in suite.experiments and not plan_.only:
            recognise(self, results)
        if "stability" in suite.experiments and not plan_.only:
            stability(self, results)
        if "photos" in suite.experiments and plan_.subject.photos:
            edit_photos(self, results, plan_.leading(suite.photos.directions))
        return results

    def check(self) -> None:
        """Refuse what would else be refused late: photos that cannot be edited, imitations that have no space."""
        suite = self.bench.suite
        if "photos" in suite.experiments and self.plan.subject.photos:
            check_edits(self, self.plan.leading(suite.photos.directions))
        if "reproduction" in self.bench.suite.experiments and self.plan.only:
            for direction in self.plan.all_directions():
                if not self._imitators(direction):
                    targets = ", ".join(self.bench.suite.reproduction.targets)
                    raise NavbenchError(
                        f"{direction.name} cannot be imitated in {targets}: generator {self.generator.name} has the "
                        f"latent spaces {', '.join(self.generator.latents)}; a direction of weights is imitated there "
                        "or in 'activation', and a latent one in 'parameter'."
                    )

    def _to_match(self) -> list[DirectionSet]:
        """The sets that are compared at an equal change of an attribute: all, if the scorer knows it."""
        wanted = self.bench.suite.matched.attribute
        known = self.scorer is not None and wanted in {attribute.name for attribute in self.scorer.attributes}
        return (
            list(self.plan.sets) if known and "matched" in self.bench.suite.experiments and not self.plan.only else []
        )

    def _of_sets(self, directions: Sequence[Direction]) -> list[list[Direction]]:
        """Some directions by their sets, in the order of the plan."""
        chosen = {direction.name for direction in directions}
        groups = [[one for one in found if one.name in chosen] for found in self.plan.sets]
        return [group for group in groups if group]

    def _screen(self, results: Results, directions: Sequence[Direction]) -> None:
        """The effects (2, n) at both ends of the range of every direction."""
        suite, groups = self.bench.suite, self._of_sets(directions)
        codes, distance = range(suite.screening.samples), self.bench.distance
        pieces = [
            direction_table.screen.piece([self.edit(direction) for direction in group], distance, codes, suite.seed)
            for group in groups
        ]
        for group, screening in zip(groups, self.pieces(pieces, "screening"), strict=True):
            results.effects |= zip((direction.name for direction in group), screening.effects, strict=True)

    def _attributes(self, results: Results, scorer: Scorer, directions: Sequence[Direction]) -> None:
        groups = self._of_sets(directions)
        pieces = [self.readings(scorer, group) for group in groups]
        for group, read in zip(groups, self.pieces(pieces, "attributes"), strict=True):
            for direction, moved, levels in self.movements(scorer, group, read):
                results.movements[direction.name], results.levels[direction.name] = moved, levels

    # --- realism

    def _realism(self, results: Results) -> Callable[[], CurveMeasurement]:
        """What curves are measured with, made when it is first asked for; results then say what the reference is."""

        @cache
        def made() -> CurveMeasurement:
            measured = CurveMeasurement(self, "reference")
            results.embedding = self.embedder.name if self.embedder is not None else ""
            results.reference, results.reference_samples = self.plan.subject.reference, measured.reference_samples
            results.reference_description, results.floor = measured.description, measured.floor
            if self.scorer is not None:
                results.reference_scores = measured.scores(self.scorer)
            return measured

        return made

    def _curves(
        self,
        results: Results,
        directions: list[Direction],
        matched: list[DirectionSet],
        measured: CurveMeasurement,
    ) -> None:
        bench, name, shards = self.bench, self.generator.name, len(measured.shards)
        with self.counted(f"{name}: curves", len(directions) * (shards + 2)) as tick:
            found = measured.curves_and_qualities(directions, bench.suite.curves.shifts, tick)
        for direction, (curve, quality) in zip(directions, found, strict=True):
            results.curves[direction.name], results.qualities[direction.name] = curve, quality
        if matched:
            with self.counted(f"{name}: {bench.suite.matched.attribute}", len(matched) * (shards + 2)) as tick:
                results.matched = match(self, results, matched, measured, tick)

    # --- the other experiments

    def _locality(self, results: Results, directions: list[Direction]) -> None:
        settings, seed, segmenter = self.bench.suite.locality, self.bench.suite.seed, self.segmenter
        results.segmenter = segmenter
        groups = locality.groups(settings.samples)
        pieces = []
        for direction in directions:
            edit = self.edit(direction)
            shifts = torch.linspace(direction.t_min, direction.t_max, settings.shifts, dtype=torch.float64).tolist()
            heats = [locality.heat.piece(edit, shifts, group, seed, segmenter) for group in groups]
            pieces += [piece.but(note=direction.name) for piece in heats]
        found = iter(self.pieces(pieces, "heatmaps"))
        results.heats |= {direction.name: list(islice(found, len(groups))) for direction in directions}

    def _reproduction(self, results: Results, directions: list[Direction]) -> None:
        settings, bench = self.bench.suite.reproduction, self.bench
        sizes = (settings.codes, settings.held_out, settings.steps)
        pieces = {}
        for direction in directions:
            for space in self._imitators(direction):
                edit, target = self.edit(direction), describe(space)
                piece = reproduction.imitate.piece(
                    edit, direction.t_max, space, bench.distance, bench.suite.seed, *sizes
                )
                pieces[direction.name, target] = piece.but(note=f"{direction.name} into {target}")
        results.reproductions |= zip(pieces, self.pieces(list(pieces.values()), "reproduction"), strict=True)
        results.pictures += pictures.write_reproductions(bench.folder, results)

    def _imitators(self, direction: Direction) -> list[Space]:
        """The spaces that are to imitate a direction: the others of its generator, among the suite's targets."""
        targets, generator = self.bench.suite.reproduction.targets, self.generator
        if direction.space == "parameter":
            kinds = [kind for kind in targets if kind in (*generator.latents, "activation")]
            return [create_space(generator, kind, direction.layer if kind == "activation" else None) for kind in kinds]
        return [create_space(generator, "parameter", name) for name in self.plan.layers if "parameter" in targets]

    def _strips(self, results: Results, directions: list[Direction]) -> None:
        settings, bench = self.bench.suite.strips, self.bench
        shifts = [direction.shifts(settings.shifts).tolist() for direction in directions]
        sample = strips.samples.piece(self.generator, 4, 8, bench.suite.seed, bench.compute)
        along = [self.strip(direction, at, settings.codes) for direction, at in zip(directions, shifts, strict=True)]
        first, *rest = self.pieces([sample.but(note="samples"), *along], "strips")
        results.pictures += pictures.write_samples(bench.folder, self.generator, first)
        for direction, at, sheet in zip(directions, shifts, rest, strict=True):
            results.pictures += pictures.write_strip(bench.folder, direction, at, sheet)
