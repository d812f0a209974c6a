"""What all tables share: the base of the models, and constraints made from enums.

The models never leave `core.store`; each turns into its domain value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import MetaData, Uuid
from sqlalchemy.orm import DeclarativeBase

from core.store.tables.types import AwareDateTime, Json, SafeText


class Row(DeclarativeBase):
    """Base of all models."""

    metadata = MetaData(
        naming_convention={
            "ix": "idx_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads a plain dict
        str: SafeText,
        datetime: AwareDateTime,
        UUID: Uuid(),
        dict[str, Any]: Json,
        Mapping[str, Any]: Json,
    }


def check_in(column: str, values: Iterable[StrEnum]) -> str:
    """SQL: the column holds one of these words."""
    return f"{column} IN ({quoted(values)})"


def quoted(values: Iterable[StrEnum]) -> str:
    """The words as a list of SQL literals, in one order at all times."""
    return ", ".join(f"'{word.value}'" for word in sorted(values))
