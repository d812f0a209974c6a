"""Isolation: whether an agent runs in kernel namespaces of its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class IsolationMode(StrEnum):
    """What the settings ask for.

    `AUTO` uses namespaces where the machine allows them, `REQUIRED` refuses to work without them,
    and `NONE` is for a machine that is the fence itself.
    """

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class IsolationStatus:
    """Whether the agents of a worker are isolated.

    Attributes:
        is_active: Whether each attempt runs in namespaces of its own.
        detail: The program and its version if it is active, otherwise why it is not.
    """

    is_active: bool
    detail: str
