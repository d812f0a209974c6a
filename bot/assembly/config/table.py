"""What all tables of signalbox.toml have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """Base of the tables: a key that does not exist is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
