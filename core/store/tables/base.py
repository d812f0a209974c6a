"""The base class of the models, and constraints made from enums.

Models do not leave `core.store`; each converts itself to a domain value.
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
    """SQL: the column has one of these values."""
    return f"{column} IN ({quoted(values)})"


def quoted(values: Iterable[StrEnum]) -> str:
    """Return the values as a list of SQL literals, always in the same order."""
    return ", ".join(f"'{value.value}'" for value in sorted(values))
