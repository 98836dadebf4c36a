"""The base of all settings, as they stand in suite files and in the headers of other files."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Validated, immutable, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
