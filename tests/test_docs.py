"""The pages of `docs/`: those that follow from the code are up to date, their code runs, and they build as a site."""

import importlib.util
import re
import runpy
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import published
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from navbench import suite
from navbench.cli import main
from navbench.compute import Compute
from navbench.generators import zoo
from navbench.metrics.attributes import create_scorer
from navbench.spaces import ParameterSpace

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def script(name: str):
    """A script of `docs/` as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def fenced(page: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", (DOCS / page).read_text())


@pytest.mark.parametrize("name", script("reference").PAGES)
def test_a_page_that_follows_from_the_code_is_up_to_date(name):
    assert (DOCS / name).read_text() == script("reference").PAGES[name](), "run python docs/reference.py"


# --- suites


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_suite_of_a_page_is_one(page):
    for text in fenced(page, "toml"):
        content = tomllib.loads(text)
        if "project" in content:
            continue
        if "name" not in content:
            text = f'name = "part"\n{text}'
        suite.parse(text, page)


# --- Python


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, from which modules are imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


def saved(page: str) -> list[str]:
    """Save the code of a page under the names that its first lines give; the names of the modules."""
    names = []
    for text in fenced(page, "python"):
        if found := re.match(r"# (\w+)\.py\n", text):
            Path(f"{found[1]}.py").write_text(text)
            names.append(found[1])
    return names


def run(page: str, **smaller: str) -> dict:
    """Run the code of a page that is in no file of its own, with other sizes."""
    code = "\n".join(text for text in fenced(page, "python") if not re.match(r"# \w+\.py\n", text))
    for old, new in smaller.values():
        assert old in code
        code = code.replace(old, new)
    Path("page.py").write_text(code)
    return runpy.run_path("page.py")


def test_the_scorer_of_the_page_reads_images(folder):
    assert saved("scorer.md") == ["my_faces"]
    scorer = create_scorer("my_faces:Brightness", Compute())
    assert scorer(torch.full((2, 3, 8, 8), 0.5)).flatten().tolist() == pytest.approx([0.5, 0.5])


def test_the_generator_of_the_page_is_one(folder):
    assert saved("generator.md") == ["my_gan"]
    Path("my_project.py").write_text(
        "import torch\n"
        "class Generator(torch.nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(torch.nn.Unflatten(1, (2, 8, 8)), torch.nn.Conv2d(2, 4, 3, padding=1),\n"
        "            torch.nn.Upsample(scale_factor=4), torch.nn.Conv2d(4, 3, 3, padding=1), torch.nn.Tanh())\n"
    )
    from my_project import Generator

    torch.save(Generator().state_dict(), "weights.pt")
    done = CliRunner().invoke(main, ["generators", "show", "my_gan:generator"])
    assert done.exit_code == 0, done.output
    assert "32x32" in done.output


def test_the_method_of_the_page_gives_offsets(folder, faces):
    assert saved("method.md") == ["my_method"]
    from my_method import CHANNELS

    space = ParameterSpace(faces, faces.layer("main.9"))
    offsets = CHANNELS.make(space, None, None, Compute(), 0)
    assert offsets.shape[1:] == space.shape
    assert (offsets.flatten(1).norm(dim=1) > 0).all()


def test_the_directions_of_the_page_are_found_by_their_name(folder):
    run("method.md")
    found = CliRunner().invoke(main, ["directions", "show", "faces/mine/main.9/0", "--directions", "my-directions"])
    assert found.exit_code == 0, found.output


def test_the_table_of_the_page_is_a_table(folder):
    assert saved("experiment.md") == ["my_table"]
    from my_table import TINTS

    assert [column.name for column in TINTS.columns][-4:] == ["red", "green", "blue", "n"]


def test_the_code_of_the_page_from_python_runs(folder):
    names = run("from-python.md", samples=("samples=256", "samples=8"))
    assert set(names["frame"]["metric"]) == {"FD", "KID"}
    assert Path("strip.png").stat().st_size > 0
    assert Path("loop.webp").stat().st_size > 0


def test_the_code_of_the_page_with_torch_fidelity_runs(folder):
    Path("my_images").mkdir()
    for index in range(4):
        Image.effect_noise((64, 64), 50 + index).convert("RGB").save(f"my_images/{index}.png")
    run("torch-fidelity.md", samples=("model_num_samples=2000", "model_num_samples=4, cuda=False, verbose=False"))


def test_the_code_of_the_page_of_clusters_is_python():
    for text in fenced("many-machines.md", "python"):
        compile(text, "many-machines.md", "exec")


# --- the walk through a StyleGAN2

SMALLER = {
    'layers = ["convs.3", "convs.7"]': 'layers = ["convs.3"]',
    'latent_methods = ["ganspace", "sefa", "random"]': 'latent_methods = ["ganspace"]',
    "batch = 1": "batch = 8",
    "directions = 8": "directions = 3",
    "effect_codes = 8": "effect_codes = 2",
    "vectors = 8, codes = 16, products = 48, block = 8": "vectors = 3, codes = 2, products = 4, block = 4",
    "samples = 20000": "samples = 64",
    "samples = 16": "samples = 6",
    "samples = 64": "samples = 8",
    "samples = 128\nshard = 64": "samples = 8\nshard = 8",
    "samples = 20\n": "samples = 4\n",
    "codes = 8\nheld_out = 16\nsteps = 60": "codes = 2\nheld_out = 2\nsteps = 1",
    "directions = 4\ncodes = 3\nshifts = 7": "directions = 1\ncodes = 1\nshifts = 3",
    "count = 2\nsteps = 500": "count = 1\nsteps = 2",
}
"""Of the page's suite: the same at sizes of a test."""
OTHERS = {"fid-curve": ["--samples", "4", "--preset", "smoke"], "edit": ["--steps", "2"]}


def test_the_commands_of_the_page_of_stylegan2_run(folder):
    """On `cars`, in the layout of NVIDIA's files."""
    published.write_nvidia(Path("ffhq.pkl"), published.nvidia_state(zoo.create("cars", Compute())))
    Path("photos").mkdir()
    Image.effect_noise((64, 64), 50).convert("RGB").save("photos/me.png")
    (text,) = fenced("stylegan2.md", "toml")
    for old, new in SMALLER.items():
        assert old in text
        text = text.replace(old, new, 1)
    Path("ffhq.toml").write_text(text)
    lines = [line for block in fenced("stylegan2.md", "sh") for line in block.splitlines() if line.startswith("navb")]
    assert len(lines) == 7
    for line in lines:
        words = [word for word in shlex.split(line) if word not in ("--device", "cuda")][1:]
        done = CliRunner().invoke(main, [*words, *OTHERS.get(words[0], [])])
        assert done.exit_code == 0, f"{line}: {done.output}"
    assert Path("smile.pt").is_file()
    assert run("stylegan2.md")["images"].shape == (2, 3, 64, 64)


# --- the site


@pytest.fixture(scope="module")
def builder():
    pytest.importorskip("zensical", reason="the documentation is built with navbench[docs]")
    return script("build")


@pytest.fixture(scope="module")
def site(builder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    assert builder.build(folder / "site", ROOT / "reports") == []
    return folder / "site"


def test_every_page_is_built_with_the_report_beside_them(site):
    built = {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in DOCS.glob("*.md")} | {"architecture", "cars"} <= built
    assert (site / "reports" / "quick" / "index.html").is_file()
    assert 'href="reports/quick/index.html"' in (site / "index.html").read_text()


def test_without_reports_nothing_links_to_them(builder, tmp_path):
    assert builder.build(tmp_path / "site") == []
    assert 'href="reports/' not in (tmp_path / "site" / "index.html").read_text()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('<a href="nowhere.html">x</a>', "page.html: nowhere.html leads nowhere"),
        ('<a href="#nowhere">x</a>', "page.html: #nowhere leads nowhere"),
        ('<img src="lost.webp">', "page.html: lost.webp leads nowhere"),
        ('<img src="//cdn.example/a.png">', "page.html loads //cdn.example/a.png"),
        ('<script src="https://cdn.example/a.js"></script>', "page.html loads https://cdn.example/a.js"),
        ('<pre class="mermaid"></pre>', "page.html has a mermaid, whose script is loaded"),
        ('<a href="../beyond.html">x</a>', "page.html: ../beyond.html leads nowhere"),
    ],
)
def test_a_fault_of_a_built_page_is_told(builder, tmp_path, text, fault):
    (tmp_path / "beyond.html").write_text("")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "page.html").write_text(
        f'<p id="here"><a href="#here">fine</a> <a href="https://example.org">fine</a>{text}'
    )
    assert list(builder.faults(folder)) == [fault]


def test_a_style_sheet_that_loads_a_font_is_told(builder, tmp_path):
    (tmp_path / "a.css").write_text("@import url('https://fonts.example/a.css'); a { background: url(b.png) }")
    assert list(builder.faults(tmp_path)) == ["a.css loads https://fonts.example/a.css"]


def test_a_link_that_leads_nowhere_fails_the_build(builder, tmp_path, monkeypatch):
    copy = tmp_path / "docs"
    shutil.copytree(DOCS, copy)
    (copy / "index.md").write_text("# Home\n\n[lost](lost.md)\n")
    monkeypatch.setattr(builder, "DOCS", copy)
    assert "page does not exist" in "".join(builder.build(tmp_path / "site"))


def test_a_page_that_the_navigation_forgets_is_told(builder, tmp_path, monkeypatch):
    copy = tmp_path / "docs"
    shutil.copytree(DOCS, copy)
    (copy / "forgotten.md").write_text("# Forgotten\n")
    monkeypatch.setattr(builder, "DOCS", copy)
    assert list(builder.unlisted()) == ["forgotten.md is missing in the navigation"]


def test_pictures_are_small():
    pictures = sorted((DOCS / "pictures").iterdir())
    assert pictures
    assert {path.suffix for path in pictures} == {".webp"}
    sizes = {path.stem: path.stat().st_size for path in pictures}
    assert sizes.pop("explorer") <= 200_000  # which moves
    assert max(sizes.values()) <= 60_000
