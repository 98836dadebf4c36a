"""The report against a run folder whose numbers are known."""

import base64
import json
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest

from navbench.errors import NavbenchError
from navbench.report import methods as answers
from navbench.report.html import _texts, write_report
from navbench.report.numbers import duration, metric_name, significant, with_stderr
from navbench.report.tables import load_run

HEADINGS = ("h1", "h2", "h3", "h4", "th", "dt", "caption", "figcaption")
HOSTILE = "</script><script>alert(1)</script><!--\u2028\u2029\N{RIGHT-TO-LEFT OVERRIDE}$\\frac"


class Page(HTMLParser):
    """A page's text, the text of its headings, and its resources."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.headings, self.resources, self.tags, self._inside = "", [""], [], [], []
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in HEADINGS:
            self._inside.append(tag)
            self.headings.append("")
        for name, value in attrs:
            if name in ("src", "href", "srcset", "poster", "data", "action"):
                self.resources.append(value or "")
            if name in ("alt", "aria-label", "title"):
                self.headings.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in HEADINGS and self._inside:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside:
            self.headings[-1] += data


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def run(make_builder: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_builder().write(tmp_path_factory.mktemp("report") / "run")
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def page(run: Path) -> Page:
    return read(run / "index.html")


def edit_table(run: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
    path = run / "tables" / f"{name}.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    changed = change(table)
    (table if changed is None else changed).to_csv(path, index=False)


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_a_value_in_the_tables_is_on_the_page_with_its_stderr(run: Path, page: Page) -> None:
    row = load_run(run).measured.iloc[0]
    shown = f"{row['fd_at_min']:.2f} ± {row['fd_at_min_stderr']:.2f}"
    assert shown in page.text
    assert "n = 2,000 (reference 2,000)" in page.text
    assert "generator at t = 0" in page.text


def test_every_plot_is_written_beside_the_page_and_inside_it(run: Path, page: Page) -> None:
    names = {path.name for path in (run / "figures").glob("*.svg")}
    assert {"effect-faces-fd-efficientnet-lite0.svg", "methods-faces.svg", "area50-faces.svg"} <= names
    assert sum(uri.startswith("data:image/svg+xml") for uri in page.resources) == len(names)


def test_nothing_is_called_fid_without_the_network_of_fid(run: Path, page: Page) -> None:
    assert any("FD (efficientnet-lite0)" in heading for heading in page.headings)
    assert [heading for heading in page.headings if re.search(r"\bFID\b", heading)] == []
    plots = [path.read_text(encoding="utf-8") for path in (run / "figures").glob("*.svg")]
    assert [plot for plot in plots if re.search(r">[^<]*\bFID\b", plot)] == []


def test_fid_is_called_fid_with_its_network(make_builder: Callable, tmp_path: Path) -> None:
    page = read(write_report(make_builder(extractor="inception-v3-compat").write(tmp_path / "run")))
    assert "FID" in {heading.strip() for heading in page.headings}
    assert "Nothing on this page is a FID" not in page.text


def test_fid_of_another_network_is_refused(copied: Path) -> None:
    edit_table(copied, "curves", lambda table: table.assign(metric="FID"))
    with pytest.raises(NavbenchError, match=r"curves\.csv calls a number FID.*efficientnet-lite0"):
        write_report(copied)


def test_the_page_needs_no_network(run: Path, page: Page) -> None:
    assert [uri[:60] for uri in page.resources if not uri.startswith(("data:image/", "#"))] == []
    source = (run / "index.html").read_text(encoding="utf-8")
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    for plot in (run / "figures").glob("*.svg"):
        links = re.findall(r'href="([^"]*)"', plot.read_text(encoding="utf-8"))
        assert all(link.startswith(("#", "data:")) for link in links)


def test_a_value_in_the_tables_is_in_the_explorer_with_its_stderr(run: Path, explorer_data: Callable) -> None:
    row = load_run(run).measured.iloc[0]
    data = explorer_data((run / "index.html").read_text(encoding="utf-8"))
    (known,) = [record for record in data["rows"] if record["name"] == row["name"]]
    facts = {term: value.replace("\N{NO-BREAK SPACE}", " ") for term, value in known["facts"]}
    assert facts["FD at the ends"].startswith(f"{row['fd_at_min']:.2f} ± {row['fd_at_min_stderr']:.2f} and ")
    assert facts["area50"].endswith(f" ± {row['area50_stderr']:.4f}")
    assert "n = 2,000 (reference 2,000)" in data["setting"]["faces"].replace("\N{NO-BREAK SPACE}", " ")


def test_every_direction_has_a_record_and_a_strip(run: Path, explorer_data: Callable) -> None:
    records = explorer_data((run / "index.html").read_text(encoding="utf-8"))["rows"]
    assert [record["name"] for record in records] == load_run(run).directions["name"].tolist()
    for record in records:
        assert record["strip"]["source"].startswith("data:image/webp;base64,")
        assert (record["strip"]["rows"], len(record["strip"]["shifts"])) == (4, 7)


def test_hostile_names_and_labels_are_text(
    make_builder: Callable, tmp_path: Path, explorer_data: Callable, without_scripts: Callable
) -> None:
    folder = make_builder().add_limits().write(tmp_path / "run")
    tables = ("directions", "curves", "locality", "reproduction", "reproduction_steps", "images", "limits", "ends")
    for table in tables:
        edit_table(folder, table, lambda rows: rows.assign(label=HOSTILE, layer=HOSTILE))
    edit_table(folder, "methods", lambda rows: rows.assign(layer=HOSTILE))
    write_report(folder)
    source = (folder / "index.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in source
    assert "&lt;script&gt;alert(1)" in source
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in source
    data = source[source.index('id="explorer-data">') :]
    assert not any(sign in data[: data.index("</script>")] for sign in "\u2028\u2029<")
    assert "<!--" not in without_scripts(source)
    assert Page(source).tags.count("script") == 4  # sorting, uPlot, the explorer, and its data
    labels = {record["label"] for record in explorer_data(source)["rows"]}
    assert labels == {HOSTILE.replace("\u2028\u2029\u202e", r"\u2028\u2029\u202e")}
    for plot in (folder / "figures").glob("*.svg"):
        assert "<script" not in plot.read_text(encoding="utf-8")


def scripts_of(source: str) -> list[str]:
    """The scripts that a browser would run."""
    return re.findall(r"<script>(.*?)</script>", source, flags=re.DOTALL)


def test_the_policy_admits_the_page_s_own_scripts_alone(run: Path) -> None:
    source = (run / "index.html").read_text(encoding="utf-8")
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', source)[1])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digests = {base64.b64encode(sha256(text.encode()).digest()).decode() for text in scripts_of(source)}
    assert len(digests) == 3
    assert set(rules["script-src"].split()) == {f"'sha256-{digest}'" for digest in digests}
    assert rules["default-src"] == "'none'"
    assert "http" not in policy


def test_a_page_without_an_explorer_has_no_script_of_it(make_builder: Callable, tmp_path: Path) -> None:
    folder = make_builder().write(tmp_path / "run")
    edit_table(folder, "directions", lambda rows: rows.iloc[:0])
    source = write_report(folder).read_text(encoding="utf-8")
    assert scripts_of(source) == _texts(("sort.js",))


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (("curves",), "This run has no curves"),
        (("reproduction", "reproduction_steps", "images"), "The reproduction experiment is not part of this run"),
        (("images", "locality", "layers"), "Could a latent code have done the same?"),
    ],
)
def test_an_experiment_that_was_not_run_is_left_out_in_words(
    make_builder: Callable, tmp_path: Path, missing: tuple[str, ...], sentence: str
) -> None:
    folder = make_builder().write(tmp_path / "run", without=missing)
    assert sentence in read(write_report(folder)).text


def test_locality_without_tables_or_heatmaps_is_left_out_in_words(make_builder: Callable, tmp_path: Path) -> None:
    folder = make_builder().write(tmp_path / "run", without=("images", "locality"))
    assert "The locality experiment is not part of this run" in read(write_report(folder)).text


def test_a_run_that_measured_nothing_says_so(make_builder: Callable, tmp_path: Path) -> None:
    page = read(write_report(make_builder(measured=0).write(tmp_path / "run")))  # some tables have no rows
    assert "No direction of this run has been measured" in page.text
    assert "does not say which method keeps it best" in page.text


def test_columns_of_experiments_that_were_not_run_may_be_absent(copied: Path) -> None:
    kept = ["generator", "method", "layer", "direction", "name", "label", "t_min", "t_max", "measured"]
    edit_table(copied, "directions", lambda table: table[kept])
    edit_table(copied, "methods", lambda table: table[["generator", "layer", "method", "directions", "curves"]])
    assert "does not say which method keeps it best" in read(write_report(copied)).text


def test_rebuilding_from_a_copy_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("*.svg", "*.html"))
    assert write_report(copy).read_bytes() == (run / "index.html").read_bytes()
    for plot in (run / "figures").iterdir():
        assert (copy / "figures" / plot.name).read_bytes() == plot.read_bytes()


def test_nothing_partial_is_left_behind(run: Path) -> None:
    assert list(run.rglob("*.partial-*")) == []


def test_an_incomplete_run_is_flagged(copied: Path, page: Page) -> None:
    path = copied / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"complete": False}))
    assert "Incomplete run." in read(write_report(copied)).text
    assert "Incomplete run." not in page.text


def test_what_was_left_out_and_how_it_was_run_are_told(page: Page) -> None:
    assert "Left out: real images: no projector for faces" in page.text
    assert "0c3b" * 16 in page.text
    assert "2,410" in page.text
    assert '[[generators]] name = "faces"' in page.text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "manifest.json").unlink(), "not a run folder"),
        (lambda run: (run / "manifest.json").write_text("{"), "not JSON"),
        (lambda run: (run / "manifest.json").write_text("{}"), "no field 'complete'"),
        (lambda run: (run / "tables/directions.csv").unlink(), r"directions\.csv is missing"),
        (lambda run: (run / "tables/curves.csv").write_text("t,value\n"), "lacks the column 'generator'"),
        (lambda run: (run / "tables/curves.csv").write_text(""), "not a CSV table"),
        (
            lambda run: edit_table(run, "curves", lambda t: t.assign(value="lots")),
            "line 2.*'lots', not a num",
        ),
        (lambda run: edit_table(run, "directions", lambda t: t.assign(name="a")), "direction 'a' twice"),
        (lambda run: edit_table(run, "directions", lambda t: t.assign(measured="?")), "neither True nor"),
        (lambda run: edit_table(run, "images", lambda t: t.assign(file="../../x.png")), "not an image of"),
        (lambda run: edit_table(run, "images", lambda t: t.assign(file="strips/x.webp")), "is missing"),
        (lambda run: edit_table(run, "images", lambda t: t.assign(columns="{")), "not a JSON list"),
        (lambda run: next(run.glob("strips/strip-*")).write_text("x"), "not an image that can be read"),
        (lambda run: next(run.glob("figures/*.npz")).write_text("x"), "cannot be read as a file of numpy"),
    ],
)
def test_a_spoilt_folder_is_told_in_one_sentence(copied: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(copied)
    with pytest.raises(NavbenchError, match=message):
        write_report(copied)


def test_what_a_folder_says_of_itself_is_plain_text_on_its_page(copied: Path) -> None:
    hostile = "\x1b[31m\r\n\u202etxt\x9b</script><script>alert(1)</script>"
    edit_table(copied, "directions", lambda t: t.assign(label=[hostile, *t["label"].iloc[1:]]))
    manifest = json.loads((copied / "manifest.json").read_text())
    told = manifest | {"warnings": [hostile], "left_out": [hostile], "device": hostile}
    (copied / "manifest.json").write_text(json.dumps(told))
    (copied / "suite.toml").write_text(f"name = '{hostile}'", encoding="utf-8")
    page = write_report(copied).read_text(encoding="utf-8")
    assert not set("\x1b\r\u202e\x9b") & set(page)
    assert "<script>alert" not in page
    assert r"\u202etxt\x9b&lt;/script&gt;" in page


def test_a_path_that_is_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(NavbenchError, match="is not a folder"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (30.186, 0.4217, "30.19 ± 0.42"),
        (0.003129, 0.00009, "0.003129 ± 0.000090"),
        (1234.5, 118.0, "1,230 ± 120"),
        (-0.5, 0.012, "\N{MINUS SIGN}0.500 ± 0.012"),
        (3.2e-7, 1.1e-8, "(3.20 ± 0.11) \N{MULTIPLICATION SIGN} 10⁻⁷"),
        (2.5, float("nan"), "2.50"),
        (float("nan"), 0.1, "\N{EN DASH}"),
    ],
)
def test_a_value_is_rounded_as_its_stderr_allows(value: float, stderr: float, text: str) -> None:
    assert with_stderr(value, stderr).replace("\N{NO-BREAK SPACE}", " ") == text


def test_numbers_without_stderr_and_durations_read_well() -> None:
    assert [significant(value) for value in (0.0, 12.345, 0.00123, 1234567.0)] == [
        *("0", "12.3", "0.00123", "1,234,567")
    ]
    assert [duration(seconds) for seconds in (41.0, 340.0, 9000.0)] == ["41 s", "6 min", "2.5 h"]


def test_only_the_network_of_fid_lends_its_name() -> None:
    assert metric_name("FID", "inception-v3-compat") == "FID"
    assert metric_name("FD", "efficientnet-lite0") == "FD (efficientnet-lite0)"
    assert metric_name("KID", "efficientnet-lite0") == "KID (efficientnet-lite0)"


NAMES = ("svd", "optimization", "spectrum", "hybrid")


def answer_of(run: Path, means: list[float], *, within: float = 1.0, status: str = "", reached: int = 12) -> str:
    """What is said of methods of such means, which are decided unless they are `within` each other."""
    first = {"generator": "faces", "layer": "main.6", "place": "layer main.6", "metric": "FD", "reference": "r"}
    first |= {"extractor": "efficientnet-lite0", "effect": 0.1, "kid_mean_stderr": 0.4, "kid_directions": 12.0}
    first |= {"kid_floor": 2.0, "kid_floor_stderr": 0.1, "n": 128.0, "n_kid": 32.0}
    rows = [first | {"method": name, "kid_mean": mean} for name, mean in zip(NAMES, means, strict=False)]
    columns = ["generator", "layer", "metric", "method", "against", "lower", "status"]
    pairs = []
    for a, b in combinations(rows, 2):
        lower = min(a, b, key=lambda row: row["kid_mean"])["method"]
        decided = abs(a["kid_mean"] - b["kid_mean"]) > within
        pairs.append(("faces", "main.6", "KID", a["method"], b["method"], lower if decided else "", status))
    points = [first | {"metric": "KID", "reached": index < reached} for index in range(12)]
    frames = {"methods": pd.DataFrame(rows), "ranking": pd.DataFrame(pairs, columns=columns)}
    tables = load_run(run).with_tables(**frames, equal=pd.DataFrame(points))
    told = " ".join([*answers.realism_sentences(tables), *answers._unreached(tables)])
    return told.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("means", "sentence"),
    [
        ([46.0, 34.0, 33.0, 30.0], "hybrid keeps realism best at an effect of 0.1.*is 30.00 ± 0.40 over 12 directions"),
        (
            [46.0, 34.0, 30.5, 30.0],
            "no method keeps realism significantly better .* than hybrid and spectrum do, .* 30.00 ± 0.40 over .* and "
            "30.50 ± 0.40",
        ),
        ([30.3, 30.2, 30.1, 30.0], "hybrid, spectrum, optimization and svd cannot be told apart"),
        ([46.0], "svd stands alone, as others"),
    ],
)
def test_the_answer_claims_what_the_numbers_hold(run: Path, means: list[float], sentence: str) -> None:
    assert re.search(sentence, answer_of(run, means))


def test_what_is_not_decided_is_not_claimed(run: Path) -> None:
    """The same means, with nothing decided, and not compared."""
    means = [46.0, 34.0, 33.0, 30.0]
    assert "best" not in answer_of(run, means, within=50)
    assert "cannot be told apart" in answer_of(run, means, within=50)
    told = answer_of(run, means, status="measured of fewer than three directions")
    assert "the methods are not compared, as they are measured of fewer than three directions." in told
    assert "best" not in told
    assert "told apart" not in told


def test_unshifted_images_stand_beside_the_methods_where_their_kid_is_known(run: Path) -> None:
    assert "Unshifted images score 2.00 ± 0.10" in answer_of(run, [46.0, 30.0])


def test_directions_that_do_not_reach_the_effect_are_counted(run: Path) -> None:
    words = "do not reach an effect of 0.10 at both ends and are not compared"
    assert f"2 of 12 directions {words}" in answer_of(run, [46.0, 30.0], reached=10)
    assert words not in answer_of(run, [46.0, 30.0])
