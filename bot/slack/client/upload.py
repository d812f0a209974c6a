"""A file to be uploaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file.

    Attributes:
        name: What searches find it by.
        title: What is shown above it.
        content: A text in UTF-8, or a picture.
        alt: What is to be seen in a picture.
    """

    name: str
    title: str
    content: bytes
    alt: str | None = None
