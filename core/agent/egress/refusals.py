"""What was refused: which hosts, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from core.agent.egress.routes import Refused
from core.domain.runs.event import HostRefused

# A program can ask for as many hosts as it likes; a report that names more is read by nobody.
MAX_NAMED_HOSTS = 50
_MAX_HOST_CHARS = 253


def refusal_text(refused: Refused) -> str:
    """The line with which a program is told why it cannot reach a host."""
    endpoint = refused.endpoint
    if refused.address is not None:
        return (
            f"Signalbox refuses {endpoint}: its name leads to {refused.address}, "
            "an address of the machine itself. An administrator can list that address."
        )
    return (
        f"Signalbox refuses {endpoint}: this run may not reach it. An administrator of Signalbox "
        'can add it to "network" under [agent] in signalbox.toml, and to the workflow\'s own list.'
    )


class Refusals:
    """The refusals of one attempt: each host is told at once, and its count at the end."""

    def __init__(self, on_refused: Callable[[HostRefused], object]) -> None:
        self._on_refused = on_refused
        self._by_host: dict[tuple[str, int] | None, HostRefused] = {}

    def add(self, refused: Refused) -> bool:
        """Count a refusal; return whether it is the first of its host."""
        host, port = refused.endpoint.host[:_MAX_HOST_CHARS], refused.endpoint.port
        key: tuple[str, int] | None = (host, port)
        if key not in self._by_host and len(self._by_host) >= MAX_NAMED_HOSTS:
            key = None
        known = self._by_host.get(key)
        if known is not None:
            self._by_host[key] = replace(known, count=known.count + 1)
            return False
        first = (
            HostRefused()
            if key is None
            else HostRefused(host=host, port=port, address=refused.address)
        )
        self._by_host[key] = first
        self._on_refused(first)
        return True

    def tell_counts(self) -> None:
        """Tell again of each host that was refused more than once."""
        for refused in self._by_host.values():
            if refused.count > 1:
                self._on_refused(refused)
