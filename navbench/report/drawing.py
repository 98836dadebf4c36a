"""What all figures share: their look, their colours by method, and SVG that is small and dark-aware."""

import io
import re
import zlib
from collections.abc import Iterable

import matplotlib
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from navbench.errors import Failure

INK, MUTED, FAINT = "#23272e", "#6a717c", "#dfe2e6"
_DARK = {INK: "#e4e6e9", MUTED: "#9aa2ad", FAINT: "#3a4048", "#0173b2": "#3f9bd6", "#3b6ea5": "#5a8fc8"}
_FONTS = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_METHODS = (
    *("svd", "optimization", "spectrum", "hybrid", "ganspace"),
    *("latent-optimization", "latent-spectrum", "sefa"),
    *("random", "random-in-svd", "random-in-spectrum"),
)
_GREYS = ("#8d949e", "#a9aeb6", "#6f7680")  # of controls
_PALETTE = (*sns.color_palette("colorblind", 7).as_hex(), "#8a7a1f", *_GREYS)
_STRANGERS = ("#5b4a9b", "#356859", "#a03050", "#4f6d8f", "#9a5b2e")
Dash = tuple[float, tuple[float, ...]]
DASHES: tuple[Dash, ...] = ((0, ()), (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.5, 1.4, 1.5)))

LOOK = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("paper"),
    "font.family": ["DejaVu Sans"],  # matplotlib's own, so that the layout is the same on every machine
    "text.parse_math": False,  # names come from other people's files
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.07,
    "svg.fonttype": "none",
    "svg.hashsalt": "navbench",
    "svg.image_inline": True,
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "normal",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "grid.color": FAINT,
    "lines.linewidth": 1.5,
    "patch.linewidth": 0,
}

styled = matplotlib.rc_context(LOOK)


def colour(method: str) -> str:
    """A method's colour, the same in every report, grey for a control; a method unknown here gets one by its name."""
    if method in _METHODS:
        return _PALETTE[_METHODS.index(method)]
    return _STRANGERS[zlib.crc32(method.encode()) % len(_STRANGERS)]


def known_first(methods: Iterable[str]) -> list[str]:
    """Methods in the order of their table, then the others by name."""
    present = set(methods)
    return [method for method in _METHODS if method in present] + sorted(present - set(_METHODS))


def panels(
    count: int, across: int, height: float, sharex: bool = False, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of the page's width with panels in rows; the unused ones are hidden."""
    across = min(across, count)
    down = -(-count // across)
    figure = Figure(figsize=(10.9 if across > 1 else 5.6, height * down), layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False, sharex=sharex, sharey=sharey).flat)
    for spare in axes[count:]:
        spare.set_visible(False)
    return figure, axes[:count]


def label_edges(grid: list[Axes], x: str, y: str, numbers_inside: bool = False) -> None:
    """Axis names at the left and at the lowest panel of each column, and nowhere else."""
    spec = grid[0].get_gridspec()
    across = spec.ncols if spec else 1
    for place, axes in enumerate(grid):
        lowest, leftmost = place + across >= len(grid), place % across == 0
        axes.set_xlabel(x if lowest else "")
        axes.set_ylabel(y if leftmost else "")
        axes.tick_params(labelbottom=lowest or numbers_inside, labelleft=leftmost)


def finish(figure: Figure) -> Figure:
    """The last touches that every figure shares."""
    for axes in figure.axes:
        sns.despine(ax=axes)
        axes.set_axisbelow(True)
    return figure


@styled
def to_svg(figure: Figure) -> str:
    """A figure as SVG text that follows the reader's dark mode and is the same bytes every time."""
    buffer = io.BytesIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    svg = buffer.getvalue().decode("utf-8")
    found = re.search(r"<svg\b.*", svg, flags=re.DOTALL)
    if found is None:
        raise Failure("matplotlib wrote no SVG element.")
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", found.group(), flags=re.DOTALL)
    svg = _slim(svg)
    return svg.replace(">", f"><style>text{{font-family:{_FONTS}}}{_dark_rules()}</style>", 1)


def _slim(svg: str) -> str:
    """The same drawing in about half the bytes: coordinates to tenths of a point, no defaults."""
    svg = re.sub(r' (d|x|y|transform)="[^"]*"', lambda numbers: _rounded(numbers.group()), svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*\)"| id="(figure|axes|patch|line2d|text|[xy]tick)_\d+"', "", svg)
    # The stroke of what is used is its own path's.
    svg = re.sub(r'(<use [^>]*style="fill: (#\w+)); stroke: \2"', r'\1"', svg)
    svg = svg.replace(" font-family: 'DejaVu Sans';", "")
    svg = re.sub(r"\n\s*", "\n", svg)
    return svg.replace("<g>\n", "<g>").replace("\n</g>", "</g>")


def _rounded(numbers: str) -> str:
    return re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number.group()):.1f}".removesuffix(".0"), numbers).replace(
        "\n", ""
    )


def _dark_rules() -> str:
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in _DARK.items()
        for what in ("stroke", "fill")
    )
    return f"@media(prefers-color-scheme:dark){{{rules}}}"
