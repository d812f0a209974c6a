"""Words about the hosts that a run was not allowed to reach."""

from __future__ import annotations

from bot.words import counts
from bot.words.markup import Markup
from core.domain.reach.network import WEB_PORTS
from core.domain.runs.activity.refused_hosts import RefusedHosts
from core.domain.runs.event import HostRefused
from core.domain.runs.run import Run

_HOSTS_SHOWN = 8
_MANY_REFUSALS = 10


def refused_hosts_line(run: Run, markup: Markup) -> str:
    """Which hosts were refused and what to do about it; empty if none was."""
    refused = RefusedHosts.of_run(run).hosts
    named = [one for one in refused if one.host is not None]
    if not named:
        return ""
    # A host is mostly tried at both ports of the web; it is one host for a reader.
    hosts = {_host_name(one): one for one in reversed(named)}
    shown = [_host_words(name, one, markup) for name, one in reversed(hosts.items())][:_HOSTS_SHOWN]
    if len(hosts) > len(shown):
        shown.append(f"{len(hosts) - len(shown)} more")
    total = counts.plural(len(hosts), "host") + (" and others" if len(named) < len(refused) else "")
    verb = "was" if total == "1 host" else "were"
    lead = markup.strong(f"{total} {verb} refused:")
    return f"🚫 {lead} {', '.join(shown)}. {_advice(named, markup)}"


def _host_name(refused: HostRefused) -> str:
    host = refused.host or ""
    if refused.port in WEB_PORTS:
        return host
    return f"[{host}]:{refused.port}" if ":" in host else f"{host}:{refused.port}"


def _host_words(name: str, refused: HostRefused, markup: Markup) -> str:
    facts = []
    if refused.address is not None:
        facts.append(f"its name leads to {markup.code(refused.address, 60)}")
    if refused.count >= _MANY_REFUSALS:
        facts.append(f"{refused.count:,} times")
    return markup.code(name, 90) + (f" ({', '.join(facts)})" if facts else "")


def _advice(named: list[HostRefused], markup: Markup) -> str:
    if all(one.address is not None for one in named):
        return "Names must not lead to the worker itself; an administrator can list the address."
    return (
        "Runs may reach only the hosts that the settings list. If the work needs one of these, ask "
        f"an administrator to add it to {markup.code('network')}, then continue the run."
    )
