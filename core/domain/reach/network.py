"""Which hosts an agent may reach: `network = "open" | "none" | [hosts]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from core.domain.reach import addresses
from core.domain.reach.addresses import as_address

# The ports of a rule that names none: HTTPS and HTTP.
WEB_PORTS = (443, 80)
MAX_HOST_RULES = 256

_HOW_A_HOST_IS_WRITTEN = 'write it like "api.example.com", "*.example.com", or "10.0.0.7:8443"'


class NetworkMode(StrEnum):
    """The kinds of network policy."""

    OPEN = "open"
    NONE = "none"
    HOSTS = "hosts"


def canonical_host(host: str) -> str | None:
    """Return the one way to write a host name or an IP address, or `None` if it is neither.

    As in `addresses`, but names may also be written with letters outside ASCII.
    """
    if as_address(host) is not None:
        return addresses.canonical_host(host)
    # The codec also replaces letters that look like others: full-width digits become digits.
    try:
        name = host.lower().encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return None if as_address(name) is not None else addresses.canonical_host(name)


def is_address(host: str) -> bool:
    """Return whether a canonical host is an IP address and not a name."""
    return as_address(host) is not None


@dataclass(frozen=True, kw_only=True)
class HostRule:
    """One entry of a list of hosts.

    Attributes:
        host: The canonical host, without `*.`.
        is_wildcard: Whether the rule is for the names below `host`, and not for `host` itself.
        port: The only port of the rule; `None` is for `WEB_PORTS`.
    """

    host: str
    is_wildcard: bool = False
    port: int | None = None

    @classmethod
    def parse(cls, text: object) -> HostRule:
        """Read an entry as it is written in settings.

        Raises:
            ValueError: If it is no such entry; the text says how to write it.
        """
        match text:
            case str():
                return _parse_rule(text)
            case _:
                raise ValueError(f"{text!r} is not a host; {_HOW_A_HOST_IS_WRITTEN}")

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the rule."""
        return WEB_PORTS if self.port is None else (self.port,)

    @property
    def is_address(self) -> bool:
        """Whether the rule is for an IP address: it then matches no name."""
        return is_address(self.host)

    def matches(self, host: str, port: int) -> bool:
        """Return whether the rule is for this canonical host and this port."""
        return port in self.ports and self.has(host, is_wildcard=False)

    def common_with(self, other: HostRule) -> HostRule | None:
        """Return the rule for what both rules are for, or `None` if that is nothing."""
        if self.has(other.host, is_wildcard=other.is_wildcard):
            narrow = other
        elif other.has(self.host, is_wildcard=self.is_wildcard):
            narrow = self
        else:
            return None
        ports = [port for port in self.ports if port in other.ports]
        if not ports:
            return None
        port = None if len(ports) == len(WEB_PORTS) else ports[0]
        return HostRule(host=narrow.host, is_wildcard=narrow.is_wildcard, port=port)

    def has(self, host: str, *, is_wildcard: bool) -> bool:
        """Return whether the rule is for this canonical host, or for all names below it."""
        if self.host == host:
            return self.is_wildcard == is_wildcard
        return self.is_wildcard and not is_address(host) and host.endswith("." + self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return ("*." if self.is_wildcard else "") + host + (f":{self.port}" if self.port else "")


@dataclass(frozen=True, kw_only=True)
class NetworkPolicy:
    """What an agent may reach beside its model, which it may always reach.

    Attributes:
        hosts: The rules of mode `HOSTS`, at least one; empty in the other modes.
    """

    mode: NetworkMode = NetworkMode.OPEN
    hosts: tuple[HostRule, ...] = ()

    @classmethod
    def parse(cls, value: object) -> NetworkPolicy:
        """Read the value of a `network` key: "open", "none", or a list of hosts.

        Raises:
            ValueError: If it is none of them; the text says how to write it.
        """
        match value:
            case "open" | "none":
                return cls(mode=NetworkMode(value))
            case []:
                raise ValueError('is an empty list of hosts; write "none" to allow no host')
            case list() | tuple() if len(value) > MAX_HOST_RULES:
                raise ValueError(
                    f"has {len(value)} hosts, at most {MAX_HOST_RULES} are possible; "
                    'write rules like "*.example.com"'
                )
            case list() | tuple():
                return cls.of_rules(HostRule.parse(entry) for entry in value)
            case _:
                raise ValueError(
                    'must be "open", "none", or a list of hosts like ["api.example.com"], '
                    f"not {value!r}"
                )

    @classmethod
    def of_rules(cls, rules: Iterable[HostRule]) -> NetworkPolicy:
        """Return the policy of these rules; no rule is `none`."""
        hosts = tuple(dict.fromkeys(rules))
        return cls(mode=NetworkMode.HOSTS if hosts else NetworkMode.NONE, hosts=hosts)

    @property
    def is_open(self) -> bool:
        """Whether the agent shares the worker's network."""
        return self.mode is NetworkMode.OPEN

    @property
    def setting(self) -> str | list[str]:
        """The value that `parse` reads."""
        return [str(rule) for rule in self.hosts] if self.hosts else self.mode.value

    def rule_for(self, host: str, port: int) -> HostRule | None:
        """Return the first rule for this canonical host and this port, of a list of hosts."""
        return next((rule for rule in self.hosts if rule.matches(host, port)), None)

    def permits(self, host: str, port: int) -> bool:
        """Return whether an agent may reach this port of this host, in any notation."""
        if self.is_open:
            return True
        canonical = canonical_host(host)
        return canonical is not None and self.rule_for(canonical, port) is not None

    def excess_over(self, limit: NetworkPolicy) -> tuple[str, ...]:
        """Return what this policy permits and `limit` does not, as entries of a `network` key.

        Empty if this policy is the same or stricter.
        """
        if limit.is_open or self.mode is NetworkMode.NONE:
            return ()
        if self.is_open:
            return (NetworkMode.OPEN.value,)
        return tuple(str(rule) for rule in self.hosts if not limit._covers(rule))

    def narrowed_to(self, other: NetworkPolicy) -> NetworkPolicy:
        """Return the policy that permits what both permit."""
        if self.is_open:
            return other
        if other.is_open:
            return self
        common = (mine.common_with(theirs) for theirs in other.hosts for mine in self.hosts)
        return NetworkPolicy.of_rules(rule for rule in common if rule is not None)

    def _covers(self, rule: HostRule) -> bool:
        return all(
            any(
                port in mine.ports and mine.has(rule.host, is_wildcard=rule.is_wildcard)
                for mine in self.hosts
            )
            for port in rule.ports
        )


def _parse_rule(text: str) -> HostRule:
    def refuse(problem: str) -> ValueError:
        return ValueError(f"{text!r} {problem}; {_HOW_A_HOST_IS_WRITTEN}")

    if "://" in text:
        raise refuse("is a URL, not a host")
    if any(mark in text for mark in "/?#@"):
        raise refuse("is more than a host")
    host, port_text = _split_port(text)
    port = None
    if port_text is not None:
        # Not `isdigit`, which also accepts digits of other scripts.
        if re.fullmatch(r"[0-9]{1,5}", port_text) is None or not 1 <= int(port_text) <= 65535:
            raise refuse("has no port from 1 to 65535 after the colon")
        port = int(port_text)
    is_wildcard = host.startswith("*.")
    host = host.removeprefix("*.")
    if "*" in host:
        raise refuse('has a "*" that is not the whole first part of a name')
    canonical = canonical_host(host)
    if canonical is None:
        raise refuse("is not a host name or an IP address")
    if is_wildcard and is_address(canonical):
        raise refuse('has a "*" before an IP address')
    if is_wildcard and "." not in canonical:
        raise refuse("is a whole top-level domain")
    return HostRule(host=canonical, is_wildcard=is_wildcard, port=port)


def _split_port(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        # `[name]` is no notation for anything.
        if bracket and ":" in host and (not rest or rest.startswith(":")):
            return host, rest[1:] if rest else None
        return text, None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None
