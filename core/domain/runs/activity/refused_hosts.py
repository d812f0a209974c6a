"""The hosts that were refused to a run, as its metadata keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.domain.runs.event import HostRefused
from core.domain.runs.run import Run

# In a run's metadata: [{"host": "example.com", "port": 443, "count": 2, "address": null}, …].
REFUSED_HOSTS_KEY = "refused_hosts"
# Of all attempts; the same limit holds for each attempt.
_MAX_HOSTS = 50


@dataclass(frozen=True)
class RefusedHosts:
    """Hosts with the number of their refusals; at most 50, and one entry for all others.

    Attributes:
        hosts: In the order of the first refusal, each host and port once.
    """

    hosts: tuple[HostRefused, ...] = ()

    @classmethod
    def of_run(cls, run: Run) -> RefusedHosts:
        """Read a run's metadata; entries of an unknown shape are left out."""
        stored = run.metadata.get(REFUSED_HOSTS_KEY)
        entries = stored if isinstance(stored, list) else []
        return cls(tuple(host for entry in entries if (host := _read(entry)) is not None))

    def to_json(self) -> list[dict[str, Any]]:
        """The value in a run's metadata."""
        return [
            {"host": one.host, "port": one.port, "count": one.count, "address": one.address}
            for one in self.hosts
        ]

    def updated(self, event: HostRefused) -> RefusedHosts:
        """Take over an event of the present attempt, whose count replaces the known one."""
        known = [one for one in self.hosts if _key(one) != _key(event)]
        return (
            RefusedHosts((*known, event))
            if len(known) == len(self.hosts)
            else RefusedHosts(
                tuple(event if _key(one) == _key(event) else one for one in self.hosts)
            )
        )

    def __add__(self, later: RefusedHosts) -> RefusedHosts:
        by_key: dict[tuple[str | None, int | None], HostRefused] = {}
        for one in (*self.hosts, *later.hosts):
            named = one
            if _key(one) not in by_key and len(by_key) >= _MAX_HOSTS:
                named = HostRefused(count=one.count)
            known = by_key.get(_key(named))
            count = named.count + (known.count if known is not None else 0)
            by_key[_key(named)] = replace(named, count=count)
        return RefusedHosts(tuple(by_key.values()))


def _key(refused: HostRefused) -> tuple[str | None, int | None]:
    return refused.host, refused.port


def _read(entry: object) -> HostRefused | None:
    match entry:
        case {"host": str() | None as host, "port": int() | None as port, "count": int(count)}:
            address = entry.get("address") if isinstance(entry, Mapping) else None
            return HostRefused(
                host=host,
                port=port,
                count=count,
                address=address if isinstance(address, str) else None,
            )
        case _:
            return None
