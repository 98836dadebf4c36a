"""Directions as a code of attributes, on a generator whose response is linear and known."""

import math
from types import SimpleNamespace

import pytest
import torch
from analytic import LinearGenerator, edit, noise
from test_readings import Means

from navbench.compute import Compute
from navbench.experiments.disentangling import (
    CodeQualities,
    Disentangling,
    code_quality,
    drawn_shares,
    joint_changes,
)
from navbench.metrics.disentanglement import disentanglement

SIDE, SIGMA = 4, 0.1


def colours(*mixtures, batch=32, ends=(-1.0, 2.0)):
    """Edits that each add t times a mixture of red, green and blue, of unit norm over all pixels."""
    generator, edits = LinearGenerator(side=SIDE), []
    for mixture in mixtures:
        image = torch.tensor(mixture)[:, None, None].expand(3, SIDE, SIDE)
        offset = generator.row(generator.latent_dim, image)
        edits.append(edit(generator, offset, Compute(batch=batch), layer="map", ends=ends))
    return edits


PURE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
MIXED = ((1.0, 1.0, 1.0), (1.0, -1.0, 0.0), (1.0, 1.0, -2.0))


def test_changes_are_the_sum_of_what_the_shifts_do():
    joint = joint_changes(colours(*PURE), range(9), 0, Means())
    shifts = torch.where(joint.shares > 0, 2 * joint.shares, joint.shares)  # the range is from -1 to 2
    torch.testing.assert_close(joint.changes.float(), shifts / SIDE / SIGMA, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 4])
def test_changes_do_not_depend_on_the_batch(batch):
    one, other = (joint_changes(colours(*MIXED, batch=size), range(9), 3, Means()) for size in (batch, 32))
    torch.testing.assert_close(one.changes, other.changes, rtol=1e-4, atol=1e-5)
    assert torch.equal(one.shares, other.shares)


def test_a_part_of_the_codes_has_the_shifts_of_that_part():
    assert torch.equal(drawn_shares(range(3, 7), 5, 1), drawn_shares(range(10), 5, 1)[3:7])


@pytest.mark.parametrize("count", [2, 3, 16, 64])
def test_all_shifts_together_are_as_large_as_one_end_and_none_leaves_its_range(count):
    shares = drawn_shares(range(2000), count, 0)
    assert float(shares.abs().max()) <= 1
    assert float(shares.square().sum(1).mean()) == pytest.approx(min(1, count / 3), rel=0.03)


def test_a_direction_per_colour_is_a_disentangled_code_and_mixtures_are_not():
    found = []
    for mixtures in (PURE, MIXED):
        joint = joint_changes(colours(*mixtures, ends=(-1.0, 1.0)), range(300), 0, Means())
        found.append(disentanglement(joint.shares, joint.changes))
    pure, mixed = found
    for name in ("disentanglement", "completeness", "informativeness", "mig"):
        assert getattr(pure, name).value > 0.85
    assert mixed.informativeness.value > 0.98
    assert mixed.disentanglement.value < 0.3
    assert mixed.mig.value < 0.3


def rows_and_gaps(changes, code):
    """What is said of a set, of 60 codes with these shifts and changes."""
    scorer = SimpleNamespace(name="means", attributes=(None,) * changes.shape[1], subject="face")
    joint = SimpleNamespace(read={"shares": code, "changes": changes}.get)
    found = SimpleNamespace(generator="g", place="map", space="weights", method="svd", set_id="g/svd/map")
    outcome = CodeQualities([(found, code.shape[1], code_quality(joint, 10))])
    settings = SimpleNamespace(samples=60)
    on = SimpleNamespace(scorer=scorer, outcome=lambda _: outcome, settings=lambda _: settings)
    return Disentangling().rows(on, outcome)["disentanglement"], list(Disentangling().gaps(on))


def test_a_measure_that_is_not_defined_has_its_row():
    """Of a single attribute, no direction can be said to move one rather than another."""
    code = noise(0, 60, 2)
    rows, gaps = rows_and_gaps(code[:, :1].double(), code)
    values = {row["metric"]: row["value"] for row in rows}
    assert len(values) == 4
    assert math.isnan(values["disentanglement"])
    assert values["completeness"] > 0.9
    assert gaps == []


@pytest.mark.parametrize("lost", [30, 31])
def test_a_set_of_which_too_few_codes_can_be_read_has_no_row_and_is_named(lost):
    code = noise(0, 60, 2)
    changes = code.double()
    changes[:lost] = math.nan
    rows, gaps = rows_and_gaps(changes, code)
    if lost == 30:
        assert (len(list(rows)), gaps) == (4, [])
        return
    assert list(rows) == []
    (words,) = gaps
    assert words.startswith("g/svd/map is not measured as a code")
    assert words.endswith("of 60 codes, 29 keep the face under all directions together.")
