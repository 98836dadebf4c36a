"""The base of all settings, as they stand in suite files and in the headers of other files."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

SPEED: dict[str, Any] = {"changes": "speed"}
"""Marks a field, as its `json_schema_extra`, that changes how fast results are there, and no result."""

PERMISSION: dict[str, Any] = {"changes": "nothing"}
"""Marks a field likewise that allows what is refused without it, and changes nothing else."""


class Settings(BaseModel):
    """Validated, immutable, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def content(self) -> dict[str, Any]:
        """All that results depend on, as JSON: everything but the fields that are marked as no part of that."""
        kept = {name for name, field in type(self).model_fields.items() if not _changes_no_result(field)}
        values = self.model_dump(mode="json", include=kept)
        parts = {name: part.content() for name in kept if isinstance(part := getattr(self, name), Settings)}
        return values | parts


def _changes_no_result(field: FieldInfo) -> bool:
    return field.json_schema_extra in (SPEED, PERMISSION)
