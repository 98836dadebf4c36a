"""Pickles of others are read as data: whatever else they ask for is refused by one sentence, and nothing of it runs."""

import argparse
import builtins
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from fractions import Fraction
from functools import partial
from pathlib import Path, PosixPath

import numpy as np
import published
import pytest
import torch
from analytic import noise

from navbench.errors import NavbenchError
from navbench.pickles import Record, flattened, read_pickle, read_torch
from navbench.unpickler import MOST_WORK


class Calls:
    """Pickled as a call of something."""

    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


class Builds(Calls):
    """Pickled as a call, with a state for what comes back."""

    def __init__(self, state, function, *arguments):
        super().__init__(function, *arguments)
        self.made = (*self.made, state)


def refusal(path, read=read_pickle):
    with pytest.raises(NavbenchError) as refused:
        read(path)
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith(".")
    return message


def written(folder, content):
    path = folder / "some.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 4))
    return path


def marker(folder):
    """A file that hostile content would write, and the content: what each of them does by its name."""
    path = folder / "ran"
    return path, {
        "posix.system": Calls(os.system, f"touch {path}"),
        "builtins.eval": Calls(eval, f"open({str(path)!r}, 'w')"),
        "builtins.exec": Calls(exec, f"open({str(path)!r}, 'w')"),
        "builtins.getattr": Calls(getattr, "text", "upper"),
        "Popen": Calls(subprocess.Popen, ["touch", str(path)]),
        "open": Calls(builtins.open, str(path), "w"),
        "torch.serialization.load": Calls(torch.load, str(path)),
        "functools.partial": Calls(partial, os.system, "true"),
        "fractions.": Fraction(1, 2),
        "numpy.load": Calls(np.load, str(path)),
        "pickle.loads": Calls(pickle.loads, pickle.dumps(Calls(os.system, f"touch {path}"))),
    }


HOSTILE = list(marker(Path())[1])


# --- what is admitted


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_tensors_and_numpy_numbers_are_read_as_they_were_pickled(tmp_path, protocol):
    base = noise(0, 4, 6)
    plain = {
        "text": "Bäume", "number": -3, "large": 2**70, "real": 0.1, "none": None, "yes": True, "bytes": b"\x00\xff",
        "list": [1, [2, (3, 4, 5, 6)]], "set": {"a", "b"}, "pair": (1, 2),
    }  # fmt: skip
    tensors = {
        "whole": base, "row": base[1], "turned": base.T, "half": base.half(), "single": base[0, 0],
        "parameter": torch.nn.Parameter(base), "empty": torch.zeros(0, 3), "integer": torch.arange(5),
        "true": torch.tensor([True, False]),
    }  # fmt: skip
    numbers = {"f8": np.sqrt(2), "f4": np.float32(0.1), "big": np.array([3], ">i4")[0], "bool": np.bool_(True)}
    path = tmp_path / "some.pkl"
    path.write_bytes(pickle.dumps({"plain": plain, "tensors": OrderedDict(tensors), "numbers": numbers}, protocol))
    found = read_pickle(path)
    assert found["plain"] == plain
    assert found["numbers"] == {name: number.item() for name, number in numbers.items()}
    assert {name: type(value) for name, value in found["tensors"].items()} == dict.fromkeys(tensors, torch.Tensor)
    for name, value in tensors.items():
        assert found["tensors"][name].dtype == value.dtype
        assert torch.equal(found["tensors"][name], value), name


def test_a_network_of_nvidias_becomes_a_record_without_its_source(tmp_path):
    state = {"mapping.fc0.weight": noise(0, 3, 2), "mapping.w_avg": noise(1, 3)}
    found = read_pickle(published.write_nvidia(tmp_path / "a.pkl", state))
    network = found["G_ema"]
    assert isinstance(network, Record)
    assert network.class_name == "Generator"
    assert network.state["conv_clamp"] == 256
    assert network.state["act_gain"] == pytest.approx(2**0.5, abs=1e-15)
    assert network.state["_init_kwargs"] == {"z_dim": 8}
    assert published.SOURCE.strip() in (tmp_path / "a.pkl").read_bytes().decode("latin-1")
    assert "SystemExit" not in repr(found)
    flat = flattened(network, "it")
    assert flat.keys() == state.keys()
    assert all(torch.equal(flat[key], value) for key, value in state.items())


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    "array", [np.array([256, 128]), np.ones((2, 3), "f4", order="F") * [1, 2, 3], np.zeros((0, 2))]
)
def test_arrays_of_numpy_are_inert_and_keep_their_numbers(tmp_path, array, protocol):
    (tmp_path / "a").write_bytes(pickle.dumps([array], protocol))
    (found,) = read_pickle(tmp_path / "a")
    assert found.numbers.dtype == array.dtype
    np.testing.assert_array_equal(found.numbers, array)


def test_the_settings_of_a_training_are_read_beside_its_tensors(tmp_path):
    content = {"args": argparse.Namespace(size=16, path="x"), "g": OrderedDict(a=noise(0, 2)), "steps": [1, 2.5]}
    for legacy in (False, True):
        torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
        found = read_torch(tmp_path / "a.pt")
        assert found["args"] == content["args"]
        assert found["steps"] == [1, 2.5]
        assert torch.equal(found["g"]["a"], content["g"]["a"])


@pytest.mark.parametrize("path", ["/data/runs", "a/b", ".", "/"])
def test_a_path_is_its_text(tmp_path, path):
    torch.save({"out": Path(path)}, tmp_path / "a.pt")
    assert read_torch(tmp_path / "a.pt")["out"] == path


@pytest.mark.parametrize("sums", [True, False])
def test_files_are_read_whether_torch_computed_their_checksums_or_not(tmp_path, sums):
    known = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(sums)
    try:
        torch.save({"a": noise(0, 50)}, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(known)
    assert torch.equal(read_torch(tmp_path / "a.pt")["a"], noise(0, 50))


def test_a_number_that_changed_on_its_way_is_found_by_the_members_checksum(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"a": noise(0, 50), "b": noise(1, 5000)}, path)
    content = bytearray(path.read_bytes())
    place = content.index(noise(1, 5000).numpy().tobytes()) + 8000
    content[place] ^= 1
    path.write_bytes(content)
    assert "is damaged or no checkpoint (Bad CRC-32 for file 'a/data/1'); fetch it again" in refusal(path, read_torch)


# --- what is refused, and does not run


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("where", ["top", "in a network", "in place of its state", "in a list"])
def test_a_call_of_anything_else_is_refused_by_its_name(tmp_path, name, where):
    ran, hostile = marker(tmp_path)
    if where in ("top", "in a list"):
        path = written(tmp_path, hostile[name] if where == "top" else [1, [hostile[name]]])
    else:
        extra = {"evil": hostile[name]} if where == "in a network" else {}
        with published.nvidia_modules():
            tree = published.module_tree({"a.weight": noise(0, 2)})
            if extra:
                tree.meta["state"] |= extra
            else:
                tree.meta["state"] = hostile[name]
            path = written(tmp_path, {"G_ema": tree})
    message = refusal(path)
    assert name in message
    assert "refused" in message
    assert not ran.exists()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_call_of_anything_else_in_a_file_of_torch_is_refused_by_its_name(tmp_path, name, legacy):
    ran, hostile = marker(tmp_path)
    torch.save({"a": noise(0, 3), "b": hostile[name]}, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    assert name in refusal(tmp_path / "a.pt", read_torch)
    assert not ran.exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_call_hidden_in_the_bytes_of_a_storage_is_refused_by_its_name(tmp_path, name):
    ran, hostile = marker(tmp_path)
    inner = io.BytesIO()
    torch.save(hostile[name], inner, _use_new_zipfile_serialization=False)
    nested = Calls(torch.storage._load_from_bytes, inner.getvalue())
    tensor = Calls(torch._utils._rebuild_tensor_v2, nested, 0, (2,), (1,), False, OrderedDict())
    assert name in refusal(written(tmp_path, {"weight": tensor}))
    assert not ran.exists()


def test_a_storage_whose_bytes_are_of_torchs_zip_format_is_refused(tmp_path):
    inner = io.BytesIO()
    torch.save(noise(0, 3), inner)
    assert "no file of torch.save" in refusal(
        written(tmp_path, Calls(torch.storage._load_from_bytes, inner.getvalue()))
    )


def test_the_source_of_a_network_is_not_run(tmp_path):
    ran = tmp_path / "ran"
    path = tmp_path / "a.pkl"
    published.write_nvidia(path, {"a.weight": noise(0, 2)}, source=f"open({str(ran)!r}, 'w').close()")
    assert isinstance(read_pickle(path)["G_ema"], Record)
    assert not ran.exists()


def test_a_tensorflow_network_is_named_with_what_to_do(tmp_path):
    with published.nvidia_modules():
        network = sys.modules["dnnlib.tflib.network"].Network()
        path = written(tmp_path, (network, network, network))
    assert "TensorFlow network (dnnlib.tflib.network.Network)" in refusal(path)
    assert "legacy.py" in refusal(path)


def test_torchscript_is_refused_as_a_program(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"x")
        archive.writestr("a/constants.pkl", b"x")
    assert "TorchScript" in refusal(tmp_path / "a.pt", read_torch)


# --- operations that are abused


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def named(module, name):
    return f"c{module}\n{name}\n".encode()


START = b"\x80\x04"
TUPLES = b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86" + b"\x94" for i in range(60))
ABUSE = {
    "the state of a function": named("torch._utils", "_rebuild_parameter") + b"}" + text("x") + b"Nsb.",
    "the state of a class": named("collections", "OrderedDict") + b"}" + text("__init__") + b"Nsb.",
    "the state of a list": b"]}b.",
    "slots of a dictionary": b"}}}\x86b.",
    "an attribute of a network": named("torch_utils.persistence", "_reconstruct_persistent_obj")
    + b"(}" + text("type") + text("class") + b"s" + text("class_name") + text("G") + b"s" + text("state") + b"}stR"
    + b"}" + text("state") + b"Nsb.",
    "a network without a state": named("torch_utils.persistence", "_reconstruct_persistent_obj") + b"}\x85R.",
    "a network whose state is text": named("torch_utils.persistence", "_reconstruct_persistent_obj")
    + b"(}" + text("type") + text("class") + b"s" + text("class_name") + text("G") + b"s" + text("state")
    + text("G") + b"stR.",
    "nested tuples as a key": b"}" + b")\x94" + TUPLES + b"Ns.",
    "nested tuples in a set": b"\x8f(" + b")\x94" + TUPLES + b"\x90.",
    "a list as a key": b"}]Ns.",
    "a key without a value": b"}(" + text("a") + b"u.",
    "items of a list by key": b"]" + text("a") + b"Ns.",
    "what was never remembered": b"h\x07.",
    "an empty stack": b".",
    "more than is on the stack": b"N\x87.",
    "no mark": b"Nt.",
    "a call of a text": text("os.system") + b")R.",
    "arguments that are no tuple": named("builtins", "set") + b"NR.",
    "an object of the extension registry": b"\x82\x01.",
    "a class by the old operation": b"(ios\nsystem\n.",
    "an object with keywords": named("collections", "OrderedDict") + b")}\x92.",
    "a persistent id": text("x") + b"Q.",
    "a buffer outside": b"\x97.",
    "text longer than the file": b"X\xff\xff\xff\x7fabc.",
    "bytes longer than the file": b"\x8e" + b"\xff" * 7 + b"\x7fabc.",
    "a number longer than the file": b"\x8b\xff\xff\xff\x7fabc.",
    "an unknown operation": b"\xff.",
    "a name that is no text": b"NN\x93.",
    "a numpy object": named("numpy", "dtype") + text("O8") + b"\x85R.",
    "a numpy state of one": named("numpy", "dtype") + text("f8") + b"\x85RN\x85b.",
    "a numpy number of no bytes": named("numpy.core.multiarray", "scalar") + named("numpy", "dtype") + text("f8")
    + b"\x85RC\x00\x86R.",
    "a numpy number of text": named("numpy.core.multiarray", "scalar") + text("f8") + text("x") + b"\x86R.",
    "an array of more than there is": named("numpy.core.multiarray", "_reconstruct") + b")R(K\x01K\x09\x85"
    + named("numpy", "dtype") + text("f8") + b"\x85R\x89C\x00tb.",
    "an array without a state": named("numpy.core.multiarray", "_reconstruct") + b")RNb.",
    "an array of an impossible order": named("numpy.core.numeric", "_frombuffer") + b"(C\x00" + named("numpy", "dtype")
    + text("f8") + b"\x85RK\x00\x85" + text("Z") + b"tR.",
    "an array by its class": named("numpy", "ndarray") + b"K\x09\x85R.",
    "a size of bytes": named("builtins", "bytes") + b"K\x09\x85R.",
    "a storage of nothing": named("torch.storage", "_load_from_bytes") + b"C\x00\x85R.",
    "a tensor of no storage": named("torch._utils", "_rebuild_tensor_v2") + b"(NK\x00))tR.",
}  # fmt: skip


@pytest.mark.parametrize("abuse", ABUSE)
def test_abused_operations_are_refused(tmp_path, abuse):
    assert "damaged or no checkpoint" in refusal(written(tmp_path, START + ABUSE[abuse]))


def test_nothing_that_a_pickle_does_stays_in_the_reader(tmp_path):
    for abuse in ABUSE.values():
        refusal(written(tmp_path, START + abuse))
    path = published.write_nvidia(tmp_path / "a.pkl", {"a.weight": noise(0, 2)})
    assert isinstance(read_pickle(path)["G_ema"], Record)


def test_a_pickle_that_asks_for_endless_work_is_refused(tmp_path):
    assert "more work" in refusal(written(tmp_path, START + b"N0" * (MOST_WORK // 2) + b"N."))
    items = b"](" + b"N" * 9999 + b"e\x94" + named("builtins", "set") + b"\x94"
    calls = (b"h\x01h\x00\x85R0") * (MOST_WORK // 9999)
    assert "more work" in refusal(written(tmp_path, START + items + calls + b"."))


def test_the_same_bytes_cannot_be_handed_on_again_and_again(tmp_path):
    content = pickle.dumps(noise(0, 5000), 2)
    names = named("_codecs", "encode") + b"q\x00" + text("a" * 10000) + b"q\x01" + text("latin1") + b"q\x02"
    calls = b"h\x00h\x01h\x02\x86R0" * 20
    assert "again and again" in refusal(written(tmp_path, b"\x80\x02" + names + calls + content[2:]))


def test_a_pickle_nested_without_end_is_read_or_refused_without_a_crash(tmp_path):
    path = written(tmp_path, START + b"]\x94" * 200_000 + b"a" * 199_999 + b".")
    assert type(read_pickle(path)) is list
    path = written(tmp_path, START + b")" + b"\x85" * 200_000 + b".")
    assert type(read_pickle(path)) is tuple


def test_a_list_that_holds_itself_is_no_network(tmp_path):
    assert read_pickle(written(tmp_path, START + b"]\x94h\x00a."))


# --- sizes


def storage_bytes(count):
    """A legacy file of torch.save with a storage of 4 floats that is said to have `count`."""
    content = noise(0, 4)._typed_storage().__reduce__()[1][0]
    return content.replace(b"cpuq\x03K\x04", b"cpuq\x03\x8a\x06" + count.to_bytes(6, "little"))


def test_a_storage_that_is_said_to_be_enormous_is_refused_before_it_is_made(tmp_path):
    content = storage_bytes(2**40)
    assert b"\x8a\x06" in content
    assert "more numbers than the file" in refusal(written(tmp_path, Calls(torch.storage._load_from_bytes, content)))
    (tmp_path / "a.pt").write_bytes(content)
    assert "more numbers than the file" in refusal(tmp_path / "a.pt", read_torch)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (2**20, 2**20), (0, 0)),
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2, 2), (1, 3)),
        (0, (-1,), (1,)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2, 2), (1,)),
        (0, (1,) * 9, (1,) * 9),
        (0, (2.0,), (1,)),
        (0, [2], [1]),
        (0, (2**62, 4), (1, 1)),
    ],
)
def test_a_tensor_outside_its_storage_or_larger_is_refused(tmp_path, offset, size, stride):
    storage = noise(0, 4)._typed_storage()
    tensor = Calls(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())
    refusal(written(tmp_path, {"weight": tensor}))
    torch.save({"weight": tensor}, tmp_path / "a.pt")
    refusal(tmp_path / "a.pt", read_torch)


def rezipped(path, change):
    """A file of torch.save written again, its members through `change(archive, name, content)`."""
    torch.save({"a": noise(0, 100)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            change(archive, name, content)
    return path


def test_a_zip_written_again_is_read(tmp_path):
    path = rezipped(tmp_path / "a.pt", lambda archive, name, content: archive.writestr(name, content))
    assert torch.equal(read_torch(path)["a"], noise(0, 100))


def test_a_compressed_zip_is_refused_before_it_is_unpacked(tmp_path):
    def bomb(archive, name, content):
        archive.writestr(name, content + bytes(10_000_000), zipfile.ZIP_DEFLATED)

    path = rezipped(tmp_path / "a.pt", bomb)
    assert path.stat().st_size < 200_000
    assert "compressed" in refusal(path, read_torch)


def test_a_zip_whose_members_overlap_is_refused(tmp_path):
    path = rezipped(tmp_path / "a.pt", lambda archive, name, content: archive.writestr(name, content))
    content = bytearray(path.read_bytes())
    for start in range(len(content)):
        if content[start : start + 4] == b"PK\x01\x02":
            content[start + 20 : start + 28] = struct.pack("<II", 10**9, 10**9)
    path.write_bytes(content)
    assert "more than its own size" in refusal(path, read_torch)


def members_of(path, more=None):
    """The members of a file of torch.save, by their names under x/, as bytes of a zip."""
    torch.save({"a": noise(0, 2)} | ({"b": more, "c": "c" * 5000} if more else {}), path)
    made = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(made, "w") as written:
        for name in archive.namelist():
            written.writestr(f"x/{name.partition('/')[2]}", archive.read(name))
    return made.getvalue()


HIDDEN = Calls(bytearray, 300_000_000)
"""What torch's own reader makes of a few bytes."""


def test_a_second_pickle_whose_name_differs_by_capitals_is_not_run_unseen(tmp_path):
    path = rezipped(tmp_path / "a.pt", lambda archive, name, content: archive.writestr(name, content))
    torch.save(HIDDEN, tmp_path / "b.pt")
    with zipfile.ZipFile(tmp_path / "b.pt") as other, zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/DATA.PKL", other.read("b/data.pkl"))
    assert "two members of one name" in refusal(path, read_torch)


def test_a_zip_before_a_zip_to_which_the_end_points_is_not_run_unseen(tmp_path):
    """Python's zipfile reads the list of members before the end; torch's, the one that the end points to."""
    shape = "<4s4H2LH"
    hidden, seen = members_of(tmp_path / "a.pt", HIDDEN), members_of(tmp_path / "a.pt")
    end, theirs = list(struct.unpack(shape, seen[-22:])), struct.unpack(shape, hidden[-22:])
    (length, begins), place = end[5:7], 0
    assert theirs[5] == length
    listed = bytearray(seen[begins : begins + length])
    while place < length:
        (offset,) = struct.unpack_from("<L", listed, place + 42)
        struct.pack_into("<L", listed, place + 42, offset + theirs[6] - begins)
        place += 46 + sum(struct.unpack_from("<3H", listed, place + 28))
    end[6] = theirs[6]
    (tmp_path / "a.pt").write_bytes(hidden + seen[:begins] + bytes(listed) + struct.pack(shape, *end))
    assert "its end points elsewhere" in refusal(tmp_path / "a.pt", read_torch)


@pytest.mark.parametrize("behind", [b"", b"a comment"])
def test_the_end_of_a_zip_may_be_of_64_bits_and_has_no_comment(tmp_path, behind):
    content = members_of(tmp_path / "a.pt")
    count, length, begins = struct.unpack("<4s4H2LH", content[-22:])[4:7]
    end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, begins)
    end += struct.pack("<4sLQL", b"PK\x06\x07", 0, begins + length, 1)
    for offset in (0, 7):
        moved = bytearray(end)
        struct.pack_into("<Q", moved, 64, begins + length - offset)
        short = content[-22:-2] + struct.pack("<H", len(behind)) + behind
        (tmp_path / "a.pt").write_bytes(content[:-22] + bytes(moved) + short)
        if behind or offset:
            assert "its end points elsewhere" in refusal(tmp_path / "a.pt", read_torch)
        else:
            assert torch.equal(read_torch(tmp_path / "a.pt")["a"], noise(0, 2))


def test_a_zip_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("letter.txt", "Sehr geehrte Damen und Herren")
    assert "not one of torch.save" in refusal(tmp_path / "a.pt", read_torch)


# --- files that are no pickles


@pytest.mark.parametrize("read", [read_pickle, read_torch])
def test_missing_empty_and_text_files_are_refused(tmp_path, read):
    assert "There is no file" in refusal(tmp_path / "none", read)
    assert "There is no file" in refusal(tmp_path, read)
    assert "is empty" in refusal(written(tmp_path, b""), read)
    refusal(written(tmp_path, b"Sehr geehrte Damen und Herren"), read)


@pytest.mark.parametrize("layout", ["nvidia", "zip", "legacy"])
def test_a_file_cut_anywhere_is_refused(tmp_path, layout):
    path, read = tmp_path / "a", read_pickle if layout == "nvidia" else read_torch
    state = {"a.weight": noise(0, 2)}
    if layout == "nvidia":
        published.write_nvidia(path, state)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=layout == "zip")
    whole = path.read_bytes()
    for kept in range(0, len(whole), 37):
        path.write_bytes(whole[:kept])
        refusal(path, read)


def test_a_network_that_is_in_itself_is_refused():
    network = Record("Generator", {"_parameters": {}, "_buffers": {}, "_modules": {}})
    network.state["_modules"]["inner"] = network
    with pytest.raises(NavbenchError, match=r"^it: 'inner' is no module of a network\.$"):
        flattened(network, "it")


@pytest.mark.parametrize("state", [{}, {"_parameters": 3}, {"_parameters": {}, "_buffers": {}, "_modules": {"a": 3}}])
def test_a_record_that_is_no_module_is_refused(state):
    with pytest.raises(NavbenchError, match=r"^it: "):
        flattened(Record("Generator", state), "it")


TEXT = (3, "<", None, None, None, 12, 4, 8)
SCALAR = np.float64(0).__reduce__()[0]


@pytest.mark.parametrize("read", [read_pickle, read_torch])
@pytest.mark.parametrize(
    "made",
    [
        Calls(int, "9" * 5000),
        Calls(np.float32, 3),
        Calls(torch.device, b"cuda"),
        Calls(PosixPath, 3),
        Calls(np.dtype, "O8"),
        Calls(np.dtype, "U99999"),
        Builds((*TEXT[:5], 2**30, 4, 8), np.dtype, "U3"),
        Builds((*TEXT[:2], (np.dtype("f8"), (2**20,)), None, None, 12, 4, 8), np.dtype, "U3"),
        Builds((3, "<", None, ("a",), {"a": 1}, 8, 8, 0), np.dtype, "f8"),
        Calls(SCALAR, Builds(TEXT, np.dtype, "U3"), b"abc"),
        Calls(SCALAR, np.dtype("f8"), b"\x00"),
    ],
    ids=range(11),
)
def test_settings_that_are_made_into_more_than_data_are_refused(tmp_path, read, made):
    path = tmp_path / "a.file"
    if read is read_torch:
        torch.save({"args": made}, path)
    else:
        path.write_bytes(pickle.dumps({"args": made}, 4))
    assert "damaged" in refusal(path, read)
