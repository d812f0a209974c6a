"""The navigation: what the dashboard has, in the order in which people look for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NavEntry:
    """An entry of the navigation.

    Attributes:
        name: What `Page.nav` names.
        key: With `g` before it, it leads there from the keyboard.
    """

    name: str
    label: str
    path: str
    key: str


NAVIGATION = (
    NavEntry("overview", "Overview", "/", "o"),
    NavEntry("runs", "Runs", "/runs", "r"),
    NavEntry("sessions", "Sessions", "/sessions", "s"),
    NavEntry("alerts", "Alerts", "/alerts", "a"),
    NavEntry("workers", "Workers", "/workers", "w"),
    NavEntry("workflows", "Workflows", "/workflows", "f"),
    NavEntry("analytics", "Analytics", "/analytics", "n"),
    NavEntry("audit", "Audit", "/audit", "u"),
    NavEntry("settings", "Settings", "/settings", "e"),
)
