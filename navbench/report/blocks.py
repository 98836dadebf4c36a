"""What a page consists of: sections of blocks, each kind of which one macro of `templates/macros.html` renders.

A block that has nothing to show is false and is left out. All text is escaped, and freed of control characters, when
it is rendered; tags are possible in a `Markup` only.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

Subject = TypeVar("Subject")
"""What a section is about: a report's `page.Page`, or a comparison of two runs."""


class Block:
    """Something that a section shows; false if its first field is."""

    def __bool__(self) -> bool:
        return bool(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Words(Block):
    """A paragraph; `look` is its class in the style sheet, such as 'lead', 'note' or 'absent'."""

    text: str
    look: str = ""


@dataclass(frozen=True)
class Heading(Block):
    """A heading within a section."""

    text: str
    look: str = ""


@dataclass(frozen=True)
class Items(Block):
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Terms(Block):
    """Terms and what they are, or names and values; `look` is the class of the list."""

    pairs: Sequence[tuple[str, str]]
    look: str = "terms plain"


@dataclass(frozen=True)
class Pre(Block):
    """Text as it is in a file."""

    text: str


@dataclass(frozen=True)
class Picture:
    """One image as a page holds it: its bytes as a data URI, its size, and what it shows in words."""

    uri: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Chart(Block):
    """A plot across the page, and its caption."""

    picture: Picture
    caption: str


@dataclass(frozen=True)
class Figure(Block):
    """Pictures with one caption; `top` is what the brightest colour of a heatmap stands for, '' without a scale."""

    pictures: tuple[Picture, ...]
    caption: str
    look: str
    top: str = ""


@dataclass(frozen=True)
class Sheet(Block):
    """A picture that is a grid of images, with the captions of its columns."""

    picture: Picture
    rows: int
    columns: tuple[str, ...]
    caption: str = ""


@dataclass(frozen=True)
class Sheets(Block):
    """Sheets side by side."""

    sheets: Sequence[Sheet]


@dataclass(frozen=True)
class Cell:
    """What one place of a table or of a gallery shows.

    `sort` is the number it is sorted by, if it is a number; `automatic` a label that no human gave, which is marked as
    such; `strong` says that it is the best of its row.
    """

    text: str
    sort: float | None = None
    link: str = ""
    picture: Picture | None = None
    automatic: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Gallery(Block):
    """Heatmaps on one scale, each a link; `top` is what its brightest colour stands for."""

    cells: tuple[Cell, ...]
    top: str
    caption: str


@dataclass(frozen=True)
class Table(Block):
    """A table with its caption; groups are headings over several heads, each with how many it spans.

    Where `total` is set, the last row sums up the others. A reader can sort a `sortable` one by any column.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()
    total: bool = False
    sortable: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers, and are set flush right."""
        return tuple(any(row[place].sort is not None for row in self.rows) for place in range(len(self.heads)))


@dataclass(frozen=True)
class Details(Block):
    """Blocks that are shown on a click on the summary."""

    summary: str
    blocks: Sequence[Block]

    def __bool__(self) -> bool:
        return any(self.blocks)


@dataclass(frozen=True)
class Chips(Block):
    """Short remarks side by side."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Frames:
    """A strip: a sheet of `rows` codes by `len(shifts)` shifts, in one picture.

    Attributes:
        source: a data URI, or the path of the file beside the page.
        shifts: of the columns, in words.
        ratio: of the width of an image to its height.
    """

    source: str
    rows: int
    shifts: tuple[str, ...]
    ratio: float


@dataclass(frozen=True)
class Pick:
    """A direction that is recommended: its name and link, its label, numbers, and its strip, which moves."""

    name: str
    link: str
    label: str
    facts: Sequence[tuple[str, str]]
    frames: Frames | None


@dataclass(frozen=True)
class Picks(Block):
    """Recommended directions as cards; `order` says by what they are ordered."""

    picks: tuple[Pick, ...]
    order: str = ""


@dataclass(frozen=True)
class Explorer(Block):
    """All directions of a run, as JSON that `templates/explorer.js` shows."""

    data: str
    count: int


@dataclass(frozen=True)
class Section(Generic[Subject]):
    """A section of a page.

    Attributes:
        anchor: by which links reach it; letters and dashes.
        title: its heading, or a function of the subject that gives it.
        nav: what the navigation calls it; '' leaves it out there.
        blocks: a function from the subject to what the section shows.
        absent: the sentence that stands there if there are no blocks; without one, nothing is left of the section.
        look: its class in the style sheet: 'box', or ''.
    """

    anchor: str
    title: str | Callable[[Subject], str]
    nav: str
    blocks: Callable[[Subject], Iterable[Block]]
    absent: str = ""
    look: str = ""

    def content(self, subject: Subject) -> list[Block]:
        """What it shows of the subject; nothing if the section is to be left out."""
        blocks = [block for block in self.blocks(subject) if block]
        return blocks or ([Words(self.absent, "absent")] if self.absent else [])

    def heading(self, subject: Subject) -> str:
        """What stands above it."""
        return self.title if isinstance(self.title, str) else self.title(subject)


@dataclass(frozen=True)
class Header:
    """The head of a page, with what the browser calls it and the line above its heading, and the last line."""

    title: str
    kicker: str
    heading: str
    subtitle: str
    facts: Sequence[tuple[str, str]] = ()
    warning: str = ""
    footer: str = ""
