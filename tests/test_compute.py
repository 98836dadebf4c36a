import warnings
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from navbench.cli.common import DEVICE
from navbench.compute import Compute, best_device, doubled, exact, finite_images, out_of_memory
from navbench.errors import Failure, NavbenchError, NavbenchWarning


def limited(most):
    """Work that runs out of memory with more than `most` rows, and notes the chunks that it did."""
    done = []

    def work(rows):
        if len(rows) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        done.append(len(rows))
        return [row * row for row in rows]

    return work, done


@given(st.lists(st.integers(), max_size=60), st.integers(1, 70))
def test_every_index_is_worked_on_once_and_in_order_for_any_batch(indices, batch):
    work, done = limited(batch)
    found = [value for chunk in Compute(batch=batch).over(indices, work) for value in chunk]
    assert found == [index * index for index in indices]
    assert len(done) == -(-len(indices) // batch)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 20))
def test_out_of_memory_halves_the_batch_and_changes_no_result(count, batch, most):
    compute, (work, done) = Compute(batch=batch), limited(most)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [value for chunk in compute.over(range(count), work) for value in chunk]
        assert found == [row * row for row in range(count)]
        told = len(caught)
        again = [value for chunk in compute.over(range(count), work) for value in chunk]
    assert again == found
    assert len(caught) == told, "the smaller batch was forgotten"
    assert {warning.category for warning in caught} <= {NavbenchWarning}
    halvings = 0
    while min(batch, count) >> halvings > most:
        halvings += 1
    assert told == halvings
    assert compute.batch == (batch if halvings == 0 else min(batch, count) >> halvings)
    assert max(done) <= compute.batch


def test_work_before_memory_ran_out_is_kept():
    done = []

    def work(rows):
        if len(rows) > 2 and rows[0] >= 8:
            raise torch.OutOfMemoryError
        done.extend(rows)
        return rows

    with pytest.warns(NavbenchWarning, match="batches of 2"):
        list(Compute(batch=4).over(range(16), work))
    assert done == list(range(16))


def test_a_single_image_that_does_not_fit_is_a_failure():
    work, _ = limited(0)
    with pytest.warns(NavbenchWarning), pytest.raises(Failure, match="single image") as caught:
        list(Compute(batch=4).over(range(8), work))
    assert caught.value.exit_code == 1


def test_errors_other_than_memory_pass_through():
    def work(rows):
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Compute().over(range(8), work))


def test_cuda_without_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NavbenchError, match="--device cpu") as caught:
        Compute("cuda")
    assert caught.value.exit_code == 2


def test_a_cuda_device_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Compute("cuda:1").device == torch.device("cuda:1")
    with pytest.raises(NavbenchError, match="torch sees 2"):
        Compute("cuda:2")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "mps:1", "meta"])
def test_a_device_that_is_none_of_the_known_is_refused(device):
    with pytest.raises(NavbenchError, match="'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'"):
        Compute(device)


def test_an_unknown_precision_is_refused():
    with pytest.raises(NavbenchError, match="precision 'bfloat16'; use 'float32' or 'bf16'"):
        Compute(precision="bfloat16")


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_of_no_images_is_refused(batch):
    with pytest.raises(NavbenchError, match="at least 1"):
        Compute(batch=batch)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_images_that_are_not_finite_are_refused_by_name(value):
    images = torch.zeros(2, 3, 4, 4)
    images[1, 2, 3, 0] = value
    with pytest.raises(Failure, match="Generator faces at t = 3 made images with NaN"):
        finite_images(images, "Generator faces at t = 3")


def test_the_first_images_of_a_batch_that_are_not_finite_are_named():
    compute, seen = Compute(batch=2), []

    def work(chunk):
        for t in (1, 2, 3):
            seen.append((chunk[0], t))
            compute.finite(torch.full((2, 3, 4, 4), float("nan") if chunk[0] and t > 1 else 0.0), f"{chunk[0]} at {t}")

    with pytest.raises(Failure, match=r"^2 at 2 made images with NaN"):
        list(compute.over(range(6), work))
    assert seen == [(0, 1), (0, 2), (0, 3), (2, 1), (2, 2), (2, 3)]


def test_an_error_that_follows_from_images_that_are_not_finite_is_told_as_theirs():
    compute = Compute()

    def work(chunk):
        compute.finite(torch.full((1, 3, 4, 4), float("inf")), "Generator faces")
        raise NavbenchError("Scorer toy read NaN.")

    with pytest.raises(Failure, match="Generator faces made images with NaN"):
        list(compute.over(range(1), work))


def test_images_outside_of_batches_are_checked_at_once():
    compute = Compute(batch=1)
    for _ in compute.over(range(2), lambda chunk: chunk):
        with pytest.raises(Failure, match="it made"):
            compute.finite(torch.full((1, 3, 4, 4), float("nan")), "it")


def test_finite_images_keep_their_values_and_become_float32():
    images = torch.linspace(-1, 1, 48).view(1, 3, 4, 4).bfloat16()
    found = finite_images(images, "it")
    assert found.dtype == torch.float32
    assert torch.equal(found, images.float())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_placed_modules_are_frozen_in_evaluation_and_keep_their_weights(precision):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    placed = Compute(precision=precision).place(module)
    assert not any(part.training for part in placed.modules())
    assert not any(parameter.requires_grad for parameter in placed.parameters())
    assert all(torch.equal(value, before[name]) for name, value in placed.state_dict().items())
    assert placed[0].weight.is_contiguous(memory_format=torch.channels_last) == (precision == "bf16")


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_convolutions_run_at_the_precision_that_was_asked_for(precision, dtype):
    with Compute(precision=precision).autocast():
        assert nn.Conv2d(3, 4, 3)(torch.zeros(1, 3, 8, 8)).dtype == dtype


# --- devices ---------------------------------------------------------------------------------------------------


def seen(monkeypatch, *devices):
    """Let torch see these devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in devices)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in devices)


@pytest.mark.parametrize(
    ("devices", "best"), [(("cuda", "mps"), "cuda"), (("cuda",), "cuda"), (("mps",), "mps"), ((), "cpu")]
)
def test_auto_is_the_best_device_there_is(monkeypatch, devices, best):
    seen(monkeypatch, *devices)
    assert best_device() == best
    assert str(Compute("auto").device) == best


def test_mps_is_refused_where_there_is_none_and_at_bf16(monkeypatch):
    seen(monkeypatch)
    with pytest.raises(NavbenchError, match=r"'mps' was asked for, but torch sees no Apple GPU; use --device cpu\."):
        Compute("mps")
    seen(monkeypatch, "mps")
    with pytest.raises(NavbenchError, match=r"bf16 is not offered on 'mps'; say --precision float32"):
        Compute("mps", "bf16")


def test_what_mps_cannot_do_is_computed_on_the_cpu(monkeypatch):
    seen(monkeypatch, "mps", "cuda")
    assert str(Compute("mps").exact) == "cpu"
    assert [str(Compute(device).exact) for device in ("cpu", "cuda")] == ["cpu", "cuda"]
    moved = []
    held = torch.zeros(2)
    on_mps = SimpleNamespace(device=torch.device("mps"), cpu=lambda: moved.append("cpu") or held)
    assert exact(on_mps) is held
    assert doubled(on_mps).dtype == torch.float64
    assert moved == ["cpu", "cpu"]
    assert exact(held) is held


def test_memory_that_runs_out_on_mps_is_known():
    assert out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 18 GB)"))


def test_the_command_line_says_which_device_auto_is(monkeypatch, capsys):
    seen(monkeypatch, "mps")
    assert [DEVICE.convert(text, None, None) for text in ("auto", "cpu", "cuda:0,cuda:1")] == [
        "mps",
        "cpu",
        "cuda:0,cuda:1",
    ]
    assert capsys.readouterr().err == "Device: mps, chosen by --device auto.\n"
