"""The experiments on one generator: every piece is taken from the store, or made and stored."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from navbench.directions import Direction, DirectionSet
from navbench.errors import NavbenchError
from navbench.experiments import direction_table, locality, reproduction, strips
from navbench.experiments.edit import Edit
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
        name, names = self.generator.name, {direction.name for direction in chosen}
        with self.pieces(f"{name}: screening", len(plan_.sets)) as tick:
            for found in plan_.sets:
                results.effects |= self._screen([one for one in found if one.name in names])
                tick(found.reference)
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

    def _screen(self, directions: list[Direction]) -> dict[str, Tensor]:
        """The effects (2, n) of directions of one set, by name."""
        if not directions:
            return {}
        suite, distance = self.bench.suite, self.bench.distance
        identities = [direction.identity for direction in directions]
        key = self.key(distance=distance.name, samples=suite.screening.samples, directions=identities)

        def make() -> direction_table.Screening:
            edits = [self.edit(direction) for direction in directions]
            return direction_table.screen(edits, distance, range(suite.screening.samples), suite.seed)

        effects = self.bench.store.get(direction_table.Screening, key, make).effects
        return dict(zip((direction.name for direction in directions), effects, strict=True))

    def _attributes(self, results: Results, scorer: Scorer, directions: list[Direction]) -> None:
        chosen = {direction.name for direction in directions}
        with self.pieces(f"{self.generator.name}: attributes", len(self.plan.sets)) as tick:
            for found in self.plan.sets:
                group = [one for one in found if one.name in chosen]
                for direction, moved, levels in self.movements(scorer, group) if group else ():
                    results.movements[direction.name], results.levels[direction.name] = moved, levels
                tick(found.reference)

    # --- realism

    def _realism(self, results: Results) -> Callable[[], CurveMeasurement]:
        """What curves are measured with, made when it is first asked for; results then say what the reference is."""

        @cache
        def made() -> CurveMeasurement:
            measured = CurveMeasurement(self, f"{self.generator.name}: reference")
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
        with self.pieces(f"{name}: curves", len(directions) * shards) as tick:
            for direction in directions:
                curve, quality = measured.curve_and_quality(direction, bench.suite.curves.shifts, tick)
                results.curves[direction.name], results.qualities[direction.name] = curve, quality
        if matched:
            with self.pieces(f"{name}: {bench.suite.matched.attribute}", len(matched) * (shards + 1)) as tick:
                results.matched = match(self, results, matched, measured, tick)

    # --- the other experiments

    def _locality(self, results: Results, directions: list[Direction]) -> None:
        settings, seed, segmenter = self.bench.suite.locality, self.bench.suite.seed, self.segmenter
        results.segmenter = segmenter
        seen = {} if segmenter is None else {"segmentation": segmenter.identity}
        groups = locality.groups(settings.samples)
        with self.pieces(f"{self.generator.name}: heatmaps", len(directions) * len(groups)) as tick:
            for direction in directions:
                edit = self.edit(direction)
                shifts = torch.linspace(direction.t_min, direction.t_max, settings.shifts, dtype=torch.float64).tolist()
                heats = []
                for group in groups:
                    key = self.key(direction, codes=[group.start, group.stop], shifts=shifts, **seen)

                    def make(edit: Edit = edit, group: range = group, shifts: list[float] = shifts) -> locality.Heat:
                        return locality.heat(edit, shifts, group, seed, segmenter)

                    heats.append(self.bench.store.get(locality.Heat, key, make))
                    tick(direction.name)
                results.heats[direction.name] = heats

    def _reproduction(self, results: Results, directions: list[Direction]) -> None:
        settings, seed = self.bench.suite.reproduction, self.bench.suite.seed
        pairs = [(direction, space) for direction in directions for space in self._imitators(direction)]
        with self.pieces(f"{self.generator.name}: reproduction", len(pairs)) as tick:
            for direction, space in pairs:
                target = describe(space)
                settings_key = settings.model_dump(exclude={"targets", "directions"})
                key = self.key(direction, target=target, distance=self.bench.distance.name, **settings_key)

                def make(direction: Direction = direction, space: Space = space) -> reproduction.Reproduction:
                    edit = self.edit(direction)
                    problem = reproduction.Imitation(edit, direction.t_max, space, self.bench.distance, seed)
                    return problem.solve(settings.codes, settings.held_out, settings.steps)

                results.reproductions[direction.name, target] = self.bench.store.get(
                    reproduction.Reproduction, key, make
                )
                tick(f"{direction.name} into {target}")
        results.pictures += pictures.write_reproductions(self.bench.folder, results)

    def _imitators(self, direction: Direction) -> list[Space]:
        """The spaces that are to imitate a direction: the others of its generator, among the suite's targets."""
        targets, generator = self.bench.suite.reproduction.targets, self.generator
        if direction.space == "parameter":
            kinds = [kind for kind in targets if kind in (*generator.latents, "activation")]
            return [create_space(generator, kind, direction.layer if kind == "activation" else None) for kind in kinds]
        return [create_space(generator, "parameter", name) for name in self.plan.layers if "parameter" in targets]

    def _strips(self, results: Results, directions: list[Direction]) -> None:
        settings, seed = self.bench.suite.strips, self.bench.suite.seed
        folder = self.bench.folder
        with self.pieces(f"{self.generator.name}: strips", len(directions) + 1) as tick:
            sample = self.bench.store.get(
                strips.Strip,
                self.key(None, samples=[4, 8]),
                lambda: strips.samples(self.generator, 4, 8, seed, self.bench.compute),
            )
            results.pictures += pictures.write_samples(folder, self.generator, sample)
            tick("samples")
            for direction in directions:
                shifts = direction.shifts(settings.shifts).tolist()
                sheet = self.strip(direction, shifts, settings.codes)
                results.pictures += pictures.write_strip(folder, direction, shifts, sheet)
                tick(direction.name)
