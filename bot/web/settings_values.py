"""Settings in words, as the process that read them hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ShownSetting:
    """A setting.

    Attributes:
        name: Its variable, or its key in its table of `signalbox.toml`.
        value: In words; of a secret only whether it is set.
        source: Where the value comes from.
        is_default: Whether nobody has set it.
    """

    name: str
    value: str
    source: str
    is_default: bool


@dataclass(frozen=True, kw_only=True)
class SettingsGroup:
    """Settings that belong together."""

    title: str
    settings: Sequence[ShownSetting]
