"""The base of all settings, as they stand in suite files and in the headers of other files."""

import math
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

SPEED: dict[str, Any] = {"changes": "speed"}
"""Marks a field, as its `json_schema_extra`, that changes how fast results are there, and no result."""
MOST = 2**63
"""What a whole number is below; TOML guarantees no larger ones."""

PERMISSION: dict[str, Any] = {"changes": "nothing"}
"""Marks a field likewise that allows what is refused without it, and changes nothing else."""


class Settings(BaseModel):
    """Validated, immutable, without unknown keys, and with numbers and flags as they were written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic would make a number or a flag of, such as true, "1" and 1.0, and what is not finite."""
        field = cls.model_fields[info.field_name or ""]
        kinds = _leaves(field.annotation)
        for leaf in _values(value):
            if complaint := _complaint(leaf, kinds):
                raise ValueError(complaint)
        return value

    def content(self) -> dict[str, Any]:
        """All that results depend on, as JSON: everything but the fields that are marked as no part of that."""
        kept = {name for name, field in type(self).model_fields.items() if not _changes_no_result(field)}
        values = self.model_dump(mode="json", include=kept)
        parts = {name: part.content() for name in kept if isinstance(part := getattr(self, name), Settings)}
        return values | parts


def _changes_no_result(field: FieldInfo) -> bool:
    return field.json_schema_extra in (SPEED, PERMISSION)


def _leaves(annotation: Any) -> set[Any]:
    """The types of which an annotation is made: int and None of `tuple[int, ...] | None`."""
    inner = get_args(annotation)
    return set().union(*map(_leaves, inner)) if inner else {annotation}


def _values(value: Any) -> list[Any]:
    return [leaf for each in value for leaf in _values(each)] if isinstance(value, list | tuple) else [value]


def _complaint(value: Any, kinds: set[Any]) -> str:
    """What is wrong with a value where some kinds are expected; '' where pydantic may say it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if type(value) is int and abs(value) >= MOST:
        return "must be below 2**63"
    if isinstance(value, str) and "\0" in value:
        return "must have no zero character in it"
    if bool in kinds:
        return "" if isinstance(value, bool) or not isinstance(value, int | float | str) else "must be true or false"
    if not kinds & {int, float} or not isinstance(value, bool | float | str):
        return ""
    if float in kinds:
        return "must be a number" if isinstance(value, bool | str) else ""
    return "must be a whole number"


def _named(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


Name = Annotated[str, AfterValidator(_named)]
"""A text that is not blank."""
