"""The colours of charts: those of the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Tone(StrEnum):
    """What a mark stands for; the values are names of the dashboard's colours."""

    ACCENT = "accent"
    CLEAN = "clean"
    ATTENTION = "attention"
    FAILED = "failed"
    KILLED = "killed"
    QUIET = "muted"


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The colours and letters of a chart, as SVG has them."""

    text: str
    muted: str
    line: str
    background: str
    tones: Mapping[Tone, str]
    font: str


# The colours of the page around it: it becomes dark when the page does, and is not drawn again.
PAGE = Palette(
    text="var(--text)",
    muted="var(--muted)",
    line="var(--line)",
    background="transparent",
    tones=MappingProxyType({tone: f"var(--{tone.value})" for tone in Tone}),
    font='system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif',
)
# A picture knows no page: the light colours of the dashboard, on white, which is read in the light
# and in the dark; and letters that the library carries, for machines without any.
PICTURE = Palette(
    text="#161b22",
    muted="#566070",
    line="#dde2e8",
    background="#ffffff",
    tones=MappingProxyType(
        {
            Tone.ACCENT: "#0b62d6",
            Tone.CLEAN: "#13733b",
            Tone.ATTENTION: "#8a5a00",
            Tone.FAILED: "#b3261e",
            Tone.KILLED: "#7a3fb0",
            Tone.QUIET: "#566070",
        }
    ),
    font="Liberation Sans",
)
