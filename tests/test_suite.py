"""Suites: what their files may say, what is said of one that is wrong, and when two are the same benchmark."""

import re
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navbench import suite
from navbench.errors import NavbenchError
from navbench.methods import METHODS
from navbench.suite import PRESETS, Subject, Suite

MINIMAL = 'name = "mine"\n[[generators]]\nname = "faces"\n'
"""The shortest suite there is; the tests add keys after it."""


def refusal(text, source="mine.toml"):
    """The sentence with which a suite is refused."""
    with pytest.raises(NavbenchError) as caught:
        suite.parse(text, source)
    return str(caught.value)


def leaves(content, path=()):
    """The keys of every value in nested tables, and the value."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def changed(content, path, value):
    """Nested tables with another value in one place."""
    key, *rest = path
    return content | {key: changed(content[key], rest, value) if rest else value}


# --- presets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_suite_of_its_own_name(name):
    assert suite.read(name).name == name


def test_a_preset_reads_the_same_as_its_file(tmp_path):
    for name in PRESETS:
        path = tmp_path / f"{name}.toml"
        path.write_text(suite.read(name).toml())
        assert suite.read(str(path)) == suite.read(name)


def test_the_paper_preset_holds_the_values_of_the_paper():
    paper = suite.read("paper")
    discovery = paper.discovery
    assert paper.precision == "float32"
    assert paper.distance == discovery.distance == "lpips-alex"
    assert discovery.directions == 64  # K
    spectrum = discovery.spectrum
    assert (spectrum.vectors, spectrum.codes, spectrum.solver) == (64, 512, "power")
    assert (spectrum.epsilon, spectrum.iterations) == (0.1, 10)
    optimization, hybrid = discovery.optimization, discovery.hybrid
    assert (optimization.batch, optimization.steps) == (32, 100_000)
    assert (hybrid.batch, hybrid.steps) == (16, 100_000)
    for learned in (optimization, hybrid):
        assert learned.learning_rate == 1e-4
    assert (paper.locality.samples, paper.locality.shifts) == (1600, 20)
    assert (paper.curves.samples, paper.curves.extractor) == (50_000, "inception-v3-compat")
    assert set(paper.generators[0].methods) >= {"svd", "optimization", "spectrum", "hybrid"}


@pytest.mark.parametrize("name", suite.PRESETS)
def test_a_preset_has_the_control_of_every_method(name):
    for subject in suite.read(name).generators:
        assert {"random", "random-in-svd", "random-in-spectrum"} <= set(subject.methods)
        for methods in (subject.methods, subject.latent_methods if subject.latents else ()):
            assert {METHODS[method].control for method in methods} - {""} <= set(methods)


def test_the_paper_preset_takes_its_t_from_the_effect_and_has_that_of_the_paper_in_comments():
    text = files("navbench").joinpath("presets", "paper.toml").read_text()
    theirs = re.sub(r"\n(?:optimization|hybrid) = .*", "", text).replace("\n# optimization", "\noptimization")
    theirs = suite.parse(theirs.replace("\n# hybrid", "\nhybrid"), "the paper's T").discovery
    ours = suite.read("paper").discovery
    for method, shift in (("optimization", 3500), ("hybrid", 80)):
        learned = getattr(theirs, method)
        assert learned.shift == shift
        assert learned.regression == pytest.approx(2.5e-3 * shift)  # lambda * T
        assert getattr(ours, method) == learned.model_copy(update={"shift": None})


def test_every_preset_takes_principal_components_of_a_hundred_thousand_codes():
    for preset in ("quick", "standard", "paper"):
        chosen = suite.read(preset)
        efforts = [chosen.discovery, *(subject.discovery for subject in chosen.generators if subject.discovery)]
        assert all(effort.ganspace.samples == 100_000 for effort in efforts)


def test_the_default_preset_needs_no_weights_but_those_of_the_package_index():
    for name in ("smoke", "quick", "standard"):
        chosen = suite.read(name)
        used = {chosen.distance, chosen.discovery.distance, chosen.curves.extractor}
        assert used == {"stlpips-alex", "stlpips-alex-pooled"}  # of one file


def test_sizes_grow_from_smoke_to_quick_to_standard_to_paper():
    sizes = [
        (chosen.curves.samples, chosen.locality.samples, chosen.reproduction.codes, chosen.reproduction.steps)
        for chosen in map(suite.read, ("smoke", "quick", "standard", "paper"))
    ]
    for smaller, larger in pairwise(sizes):
        assert all(a < b for a, b in zip(smaller, larger, strict=True))


# --- what is wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("sede = 3\n" + MINIMAL, "sede", "seed"),
        ("precison = 'bf16'\n" + MINIMAL, "precison", "precision"),
        (MINIMAL + "layer = ['main.6']\n", "generators.0.layer", "layers"),
        (MINIMAL + "[curves]\nsample = 9\n", "curves.sample", "samples"),
        (MINIMAL + "[discovery]\ndirection = 9\n", "discovery.direction", "directions"),
        (MINIMAL + "[discovery.spectrum]\nvector = 9\n", "discovery.spectrum.vector", "vectors"),
        (MINIMAL + "[discovery.hybrid]\nlearningrate = 1.0\n", "discovery.hybrid.learningrate", "learning_rate"),
        (MINIMAL + "[reproduction]\nheld-out = 9\n", "reproduction.held-out", "held_out"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_known_one(text, key, nearest):
    assert refusal(text) == f"mine.toml: unknown key {key!r}; did you mean {nearest!r}?"


def test_a_key_like_no_other_is_answered_with_those_that_there_are():
    assert refusal(MINIMAL + "[screening]\nqqq = 1\n").endswith("unknown key 'screening.qqq'; known: samples.")


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("seed = -1\n" + MINIMAL, "seed", "-1"),
        ("seed = 'one'\n" + MINIMAL, "seed", "'one'"),
        ("batch = 0\n" + MINIMAL, "batch", "0"),
        ("precision = 'float16'\n" + MINIMAL, "precision", "'float16'"),
        ("curves = 5\n" + MINIMAL, "curves", "5"),
        ("experiments = ['curve']\n" + MINIMAL, "experiments.0", "'curve'"),
        (MINIMAL + "layers = [3]\n", "generators.0.layers.0", "3"),
        (MINIMAL + "[curves]\nsamples = 1\n", "curves.samples", "1"),
        (MINIMAL + "[curves]\nsamples = 9.5\n", "curves.samples", "9.5"),
        (MINIMAL + "[discovery]\neffect = 0\n", "discovery.effect", "0"),
        (MINIMAL + "[discovery]\neffect = nan\n", "discovery.effect", "nan"),
        (MINIMAL + "[discovery.hybrid]\nshift_floor = 1.0\n", "discovery.hybrid.shift_floor", "1.0"),
        (MINIMAL + "[discovery.spectrum]\nsolver = 'lanczos'\n", "discovery.spectrum.solver", "'lanczos'"),
        (MINIMAL + "[reproduction]\ntargets = ['v']\n", "reproduction.targets.0", "'v'"),
        (MINIMAL + "latents = ['v']\n", "generators.0.latents.0", "'v'"),
        (MINIMAL + "[stability]\ncodes = [16, 0]\n", "stability.codes.1", "0"),
        ("name = 'x'\ngenerators = []\n", "generators", "[]"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(text, place, found):
    sentence = refusal(text)
    assert sentence.startswith(f"mine.toml: {place}: ")
    assert sentence.endswith(f"found {found}.")


HEAD, TABLE = MINIMAL.split("[[generators]]")
DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed = true\n" + MINIMAL, "seed: must be a whole number, found True."),
        ("seed = 1.0\n" + MINIMAL, "seed: must be a whole number, found 1.0."),
        ("seed = '1'\n" + MINIMAL, "seed: must be a whole number, found '1'."),
        ("seed = 9223372036854775808\n" + MINIMAL, "seed: must be below 2**63, found 9223372036854775808."),
        (f"seed = {DIGITS}\n" + MINIMAL, "a whole number in it has too many digits; it must be below 2**63."),
        ("rediscover = 1\n" + MINIMAL, "rediscover: must be true or false, found 1."),
        ("rediscover = 'yes'\n" + MINIMAL, "rediscover: must be true or false, found 'yes'."),
        (MINIMAL + "[stability]\ncodes = [16, true]\n", "stability.codes: must be a whole number, found [16, True]."),
        (MINIMAL + "[discovery]\neffect = inf\n", "discovery.effect: must be a finite number, found inf."),
        (MINIMAL + "[discovery]\neffect = true\n", "discovery.effect: must be a number, found True."),
        (
            MINIMAL + "[discovery.hybrid]\nshift = -inf\n",
            "discovery.hybrid.shift: must be a finite number, found -inf.",
        ),
        (
            MINIMAL + "options = {truncation = nan}\n",
            "generators.0.options.truncation: must be a finite number, found nan.",
        ),
        (
            MINIMAL + "options = {size = [1.0, 2]}\n",
            "generators.0.options.size: must be a whole number, found [1.0, 2].",
        ),
        ("name = ''\n[[generators]]" + TABLE, "name: must not be empty, found ''."),
        (HEAD + "[[generators]]\nname = ' '\n", "generators.0.name: must not be empty, found ' '."),
        (
            HEAD + '[[generators]]\nname = "a\\u0000"\n',
            "generators.0.name: must have no zero character in it, found 'a\\x00'.",
        ),
        (MINIMAL + "layers = ['']\n", "generators.0.layers.0: must not be empty, found ''."),
        (MINIMAL + "photos = ['']\n", "generators.0.photos.0: must not be empty, found ''."),
        (MINIMAL + "reference = ''\n", "generators.0.reference: must not be empty, found ''."),
        ("only = ['']\n" + MINIMAL, "only.0: must not be empty, found ''."),
        (f"a = {'[' * 99}{']' * 99}\n" + MINIMAL, "a: nested more than 8 deep; no key of a suite is."),
        (f"{'.'.join('a' * 99)} = 1\n" + MINIMAL, "a: nested more than 8 deep; no key of a suite is."),
        (f"a = {'[' * 99999}{']' * 99999}\n" + MINIMAL, "its brackets are nested too deep; no key of a suite is so."),
    ],
)
def test_what_no_suite_says_is_refused_in_one_sentence_with_its_key(text, sentence):
    assert refusal(text) == f"mine.toml: {sentence}"


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a\\b", " ", "x" * 300])
def test_a_name_in_place_of_the_generators_own_is_plain(name):
    assert refusal(MINIMAL + f"as = '{name}'\n").startswith("mine.toml: generators.0.as: must be a plain name")


def test_one_generator_twice_needs_names_of_its_own():
    again = "[[generators]]\nname = 'faces'\n"
    assert refusal(MINIMAL + again) == (
        "mine.toml: two generators of the suite are called 'faces' ('faces', twice); give each a name of its own by "
        "as = 'NAME' under [[generators]]."
    )
    chosen = suite.parse(MINIMAL + again + "as = 'psi 0.7'\n", "mine.toml")
    assert [subject.alias for subject in chosen.generators] == ["", "psi 0.7"]
    assert suite.parse(chosen.toml(), "again") == chosen


def test_a_suite_is_read_as_utf_8_whatever_the_system_says_and_whatever_stands_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "cp1252")
    (tmp_path / "mine.toml").write_bytes(
        b"\xef\xbb\xbf" + MINIMAL.replace("mine", "Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n").encode()
    )
    assert suite.read(str(tmp_path / "mine.toml")).generators[0].name == "faces"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("seed = 1\n[[generators]]\nname = 'faces'\n", "name"),
        ("name = 'x'\n", "generators"),
        ("name = 'x'\n[[generators]]\nlayers = []\n", "generators.0.name"),
    ],
)
def test_a_missing_key_is_named(text, missing):
    assert refusal(text).startswith(f"mine.toml: {missing}: ")


@pytest.mark.parametrize("part", ["curves", "strips", "attributes"])
@pytest.mark.parametrize("shifts", [4, 10])
def test_an_even_number_of_shifts_is_refused(part, shifts):
    sentence = f"mine.toml: {part}.shifts: must be odd, to have t = 0, found {shifts}."
    assert refusal(MINIMAL + f"[{part}]\nshifts = {shifts}\n") == sentence


def test_an_unknown_method_to_discover_is_answered_with_the_nearest_one():
    assert refusal("rediscover = true\n" + MINIMAL + "methods = ['spectral']\n") == (
        "mine.toml: unknown method in generators 'spectral'; did you mean 'spectrum'?"
    )
    assert refusal("rediscover = true\n" + MINIMAL + "latents = ['w']\nlatent_methods = ['ganspce']\n") == (
        "mine.toml: unknown method in generators 'ganspce'; did you mean 'ganspace'?"
    )


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("pairs", "method", "'spectrm'"),
        ("recognition", "methods", "['svd', 'spectrm']"),
        ("stability", "methods", "['svd', 'spectrm']"),
    ],
)
def test_a_misspelt_method_of_an_experiment_is_answered_with_the_nearest_one(section, key, value):
    assert refusal(MINIMAL + f"[{section}]\n{key} = {value}\n") == (
        f"mine.toml: unknown method in {section}.{key} 'spectrm'; did you mean 'spectrum'?"
    )


def test_experiments_but_stability_may_name_the_methods_of_other_peoples_sets():
    text = MINIMAL + "methods = ['svd', 'navigan']\n"
    text += "[survey]\nmethod = 'navigan'\n[pairs]\nmethod = 'navigan'\n[recognition]\nmethods = ['navigan']\n"
    assert suite.parse(text, "mine.toml").pairs.method == "navigan"
    assert "stability.methods 'navigan'" in refusal(text + "[stability]\nmethods = ['navigan']\n")
    latent = MINIMAL + "latent_methods = ['mine']\nlatents = ['z']\n[recognition]\nmethods = ['mine']\n"
    assert suite.parse(latent, "mine.toml").recognition.methods == ("mine",)


def test_latent_methods_are_of_no_account_without_a_latent_space():
    text = "rediscover = true\n" + MINIMAL + "methods = ['svd']\nlatent_methods = ['random']\n"
    assert suite.parse(text, "mine.toml").generators[0].all_methods == ("svd",)
    assert suite.parse(text + "latents = ['z']\n", "mine.toml").generators[0].all_methods == ("svd", "random")


def test_what_is_not_toml_is_said_with_the_line():
    assert refusal("name = ").startswith("mine.toml is not valid TOML: ")
    assert "line 2" in refusal("a = 1\nb\n")


def test_a_name_that_is_no_file_is_taken_for_a_preset():
    with pytest.raises(NavbenchError, match="Unknown preset 'qick'; did you mean 'quick'"):
        suite.read("qick")


def test_a_suite_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(NavbenchError, match=r"Suite .*absent\.toml cannot be read"):
        suite.read(str(tmp_path / "absent.toml"))
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(NavbenchError, match=r"Suite .*latin\.toml cannot be read"):
        suite.read(str(tmp_path / "latin.toml"))


def test_values_of_the_command_line_are_checked_like_those_of_a_file():
    chosen = suite.read("smoke")
    assert chosen.with_values(curves={"samples": 99}).curves.samples == 99
    assert chosen.with_values(curves={"samples": 99}).curves.shifts == chosen.curves.shifts
    with pytest.raises(NavbenchError, match=r"the given values: curves\.samples"):
        chosen.with_values(curves={"samples": 1})
    with pytest.raises(NavbenchError, match="must be odd"):
        chosen.with_values(curves={"shifts": 4})


# --- files -----------------------------------------------------------------------------------------------------

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
names = names.filter(str.strip)
positive = st.floats(min_value=1e-300, max_value=1e300)


@given(
    name=names,
    seed=st.integers(0, 2**62),
    precision=st.sampled_from(["float32", "bf16"]),
    layers=st.lists(names, max_size=3),
    latents=st.lists(st.sampled_from(["z", "w", "w+"]), max_size=2),
    reference=names,
    effect=positive,
    shift=st.none() | positive,
    samples=st.integers(2, 10**9),
    targets=st.lists(st.sampled_from(["z", "activation"]), max_size=2),
    rediscover=st.booleans(),
)
def test_a_suite_written_and_read_is_the_same_suite(
    name, seed, precision, layers, latents, reference, effect, shift, samples, targets, rediscover
):
    chosen = suite.read("quick").with_values(
        name=name,
        seed=seed,
        precision=precision,
        generators=[{"name": name, "layers": layers, "latents": latents, "reference": reference}],
        discovery={"effect": effect, "hybrid": {"shift": shift}, "ganspace": {"samples": samples}},
        curves={"samples": samples},
        reproduction={"targets": targets},
        rediscover=rediscover,
    )
    again = suite.parse(chosen.toml(), "again")
    assert again == chosen
    assert again.cache_key == chosen.cache_key


def test_a_written_suite_spells_out_every_key_that_has_a_value():
    written = suite.parse(MINIMAL, "mine.toml").toml()
    for path, value in leaves(Suite.model_validate({"name": "x", "generators": [{"name": "faces"}]}).model_dump()):
        assert value is None or path[-1] in written, path


# --- cache key -------------------------------------------------------------------------------------------------

FULL = suite.parse(MINIMAL, "mine.toml").with_values(
    only=["a"],
    survey={"layers": ["main.3"]},
    photos={"spaces": ["z"]},
    recognition={"methods": ["svd"]},
    stability={"methods": ["svd"], "codes": [4]},
    discovery={"optimization": {"shift": 2.0}, "hybrid": {"shift": 3.0}, "latent_optimization": {"shift": 4.0}},
)
CHOICES = {
    "precision": "bf16",
    "extractor_precision": "bf16",
    "solver": "power",
    "experiments": ["curves"],
    "targets": ["z"],
    "generators": [{"name": "faces", "layers": ["main.6"]}],
    "only": ["b"],
    "calibrate": "effect=0.3",
    "stages": [{"codes": 8, "keep": 2}],
    "method": "svd",
    "shift_floor": 0.5,
    "start": "random",
    "damage": "blur",
    "strength": 24.0,
    "reconstructor": "resnet18",
}


def another(path, value):
    """Another valid value for a key of a suite."""
    if path[-1] in CHOICES:
        return CHOICES[path[-1]]
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value, *value] if path[-1] != "spaces" else ["w+"]
    if path[-1] in ("shifts", "points"):
        return value + 2
    return value + "x" if isinstance(value, str) else value + 1


@pytest.mark.parametrize("path", [path for path, _ in leaves(FULL.model_dump(mode="json"))], ids=".".join)
def test_the_cache_key_ignores_what_changes_no_result_and_changes_with_anything_else(path):
    content = FULL.model_dump(mode="json")
    value = dict(leaves(content))[path]
    other = FULL.with_values(**changed(content, path, another(path, value)))
    assert other != FULL
    assert (other.cache_key == FULL.cache_key) == (path in {("batch",), ("curves", "shard"), ("allow_stochastic",)})


SUBJECT = {
    "name": "other",
    "layers": ["main.3"],
    "methods": ["svd"],
    "latents": ["z"],
    "latent_methods": ["random"],
    "reference": "photos",
    "as": "mine",
    "resize": "box",
    "convert": "rgb",
    "scorer": "mine",
    "segmentation": "mine",
    "embedding": "mine",
    "photos": ["me.png"],
    "options": {"truncation": 0.5},
    "discovery": {"directions": 3},
}


@pytest.mark.parametrize("key", Subject.model_fields)
def test_the_cache_key_changes_with_anything_of_a_generator(key):
    subject = FULL.generators[0].model_dump(mode="json")
    assert FULL.with_values(generators=[subject | {key: SUBJECT[key]}]).cache_key != FULL.cache_key
    assert FULL.with_values(generators=[subject, subject | {"as": "b", key: SUBJECT[key]}]).cache_key != FULL.cache_key


def test_a_generator_is_discovered_by_its_own_settings_where_it_has_some():
    chosen = FULL.with_values(generators=[{"name": "a", "discovery": {"directions": 3}}, {"name": "b"}])
    own, shared = (chosen.discovery_of(subject) for subject in chosen.generators)
    assert own.directions == 3
    assert shared == chosen.discovery
    assert suite.parse(chosen.toml(), "again") == chosen


@pytest.mark.parametrize("preset", suite.PRESETS)
def test_presets_measure_every_effect_at_an_end_on_the_same_codes(preset):
    chosen = suite.read(preset)
    assert "ends" in chosen.experiments
    assert chosen.ends.samples == chosen.curves.effect_samples <= chosen.curves.samples
