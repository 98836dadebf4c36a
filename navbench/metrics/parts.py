"""Features in parts: what may be too large for memory is read a part at a time, as often as it is needed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Parts:
    """Features (n, D) that are joined from parts.

    Attributes:
        reads: each gives one part, (n_i, D), of any float type.
        shapes: n_i and D of each part.
    """

    reads: Sequence[Callable[[], Tensor]]
    shapes: Sequence[tuple[int, ...]]

    @classmethod
    def of(cls, *features: Tensor) -> "Parts":
        """From features that are in memory."""
        return cls([partial(_itself, part) for part in features], [part.shape for part in features])

    def __iter__(self) -> Iterator[Tensor]:
        return (read() for read in self.reads)

    def __len__(self) -> int:
        return sum(self.sizes)

    @property
    def sizes(self) -> list[int]:
        """n_i of each part."""
        return [count for count, *_ in self.shapes]

    @property
    def dimensions(self) -> int:
        """D."""
        return self.shapes[0][1]

    def first(self, most: int) -> Tensor:
        """The first `most` features, or all if there are fewer; later parts are not read."""
        count = min(most, len(self))
        kept, start = torch.empty(0), 0
        for read, size in zip(self.reads, self.sizes, strict=True):
            if start >= count:
                break
            part = read()[: count - start]
            kept = kept if start else part.new_empty(count, self.dimensions)  # filled in place, as it may be large
            kept[start : start + size] = part
            start += size
        return kept

    def whole(self) -> Tensor:
        """All of them."""
        return torch.cat(list(self))

    def less(self, other: "Parts") -> "Parts":
        """The differences from other features, which come in parts of the same sizes."""
        pairs = zip(self.reads, other.reads, strict=True)
        return Parts([partial(_difference, *pair) for pair in pairs], self.shapes)


def _itself(features: Tensor) -> Tensor:
    return features


def _difference(a: Callable[[], Tensor], b: Callable[[], Tensor]) -> Tensor:
    return a().double() - b().double()
