"""`navbench bake`: the file that it writes renders the edit, and what it cannot do is one sentence."""

# ruff: noqa: F401, F811 (fixtures of test_cli)

import pytest
import torch
from test_cli import call, folder, generator, installed

import navbench as nb
from navbench.errors import NavbenchError

FIRST, SECOND = "cars/hybrid/convs.5/10", "cars/ganspace/w/0"


def test_directions_of_different_spaces_and_shifts_are_baked_into_one_file(call, tmp_path):
    line = f"bake {FIRST}@4 {SECOND} --t -2 --out {tmp_path / 'both.pt'}"
    told = call(line).stdout
    assert f"Baked: {FIRST} at t = 4\nBaked: {SECOND} at t = -2\nWritten: {tmp_path / 'both.pt'} (" in told
    card = torch.load(tmp_path / "both.pt")["baked"]
    assert [(each["direction"], each["t"]) for each in card["directions"]] == [(FIRST, 4), (SECOND, -2)]
    cars = nb.load_generator("cars")
    assert card["weights"] == cars.fingerprint
    kernel, style = (nb.load_direction(name, generator=cars) for name in (FIRST, SECOND))
    codes = cars.shift_latent(cars.sample(range(2), seed=0), "w", -2 * style.offset)
    made = nb.load_generator(str(tmp_path / "both.pt"))
    torch.testing.assert_close(made(cars.sample(range(2), seed=0)), nb.edit(kernel, 4, codes), rtol=1e-5, atol=1e-5)
    assert made.fingerprint != cars.fingerprint
    assert f"{tmp_path / 'both.pt'} exists already" in call(line, 2).output
    assert "Written" in call(f"{line} --force").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (FIRST, f"{FIRST!r} says no shift; say it by --t, or as {FIRST}@4."),
        (f"{FIRST}@nan", "says a shift that is not finite"),
        (f"{FIRST} --t inf", "cannot be shifted by inf"),
        ("cars/hybrid/convs.5/1000@4", "Unknown direction 'cars/hybrid/convs.5/1000'"),
        (f"{FIRST}@4 faces/svd/main.6/0@4", "were found on weights"),
        ("toy/svd/up/1@4 --directions sets", "Generator toy comes from no checkpoint"),
    ],
)
def test_what_cannot_be_baked_is_one_sentence(call, tmp_path, words, expected):
    output = call(f"bake {words} --out {tmp_path / 'a.pt'}", 2).output
    assert expected in output
    assert output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_directions_of_several_generators_are_not_baked_together():
    shifts = [(nb.load_direction(name), 1.0) for name in (FIRST, "faces/svd/main.6/0")]
    with pytest.raises(NavbenchError, match="into one generator"):
        nb.bake(shifts, "never.pt")
