"""Names of hosts: the addresses that they resolve to, and what the ssh configuration says."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from core.domain.failure_cause import FailureCause
from core.domain.reach.addresses import as_address, canonical_host, is_public
from core.domain.reach.repositories import RepositoryPolicy
from core.workspace.errors import UnreachableRepository

# A `Match exec` of the worker's own configuration may run a program.
_SSH_CONFIG_LIMIT_SECONDS = 10
_DEFAULT_PORT = 22


@dataclass(frozen=True, kw_only=True)
class SshHost:
    """What the worker's ssh configuration makes of a host.

    Attributes:
        name: The host name or address to connect to.
        port: The port to connect to.
        key_name: The name under which `known_hosts` has the host's key.
        has_proxy: Whether the connection goes through another host or program.
    """

    name: str
    port: int
    key_name: str
    has_proxy: bool = False


def check_addresses(
    host: str, port: int, *, policy: RepositoryPolicy, display_url: str
) -> tuple[str, ...]:
    """Resolve a host that the settings do not list, and check that all its addresses are public.

    It takes as long as the system's resolver, which has limits of its own (seconds for each name
    server).

    Returns:
        The addresses, in the order in which to try them; none for a host that is an address.

    Raises:
        RepositoryNotAllowed: If one of the addresses is not public.
        UnreachableRepository: If the name has no address.
    """
    literal = as_address(host)
    if literal is not None:
        if not is_public(literal):
            raise policy.private_refusal(display_url, literal)
        return ()
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableRepository(
            f"{host} cannot be resolved: {error}",
            user_message=f"Cannot reach `{display_url}`. The worker finds no address of "
            f"`{host}`. Check the address and the worker's network, then start again. (A host "
            "that only a proxy can resolve must be listed under `[repositories]`.)",
            cause=FailureCause.REPOSITORY_UNREACHABLE,
            subject=host,
        ) from error
    # A scope is part of link-local addresses only.
    addresses = dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers)
    for address in addresses:
        if not is_public(ip_address(address)):
            raise policy.private_refusal(display_url, address)
    return tuple(addresses)


def ssh_host(host: str, port: int, *, environment: Mapping[str, str]) -> SshHost:
    """Ask ssh what its configuration makes of a host; without an answer the host is unchanged."""
    unchanged = SshHost(name=host, port=port, key_name=_key_name(host, port))
    ports = () if port == _DEFAULT_PORT else ("-p", str(port))
    try:
        # A host never begins with a hyphen, and there is no shell.
        done = subprocess.run(  # noqa: S603
            ["ssh", "-G", *ports, "--", host],  # noqa: S607 - the one that git takes, from its PATH
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SSH_CONFIG_LIMIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        # Git reports what is wrong with ssh.
        return unchanged
    options = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    name = options.get("hostname", host)
    name = canonical_host(name) or name
    found_port = int(options["port"]) if options.get("port", "").isdecimal() else port
    return SshHost(
        name=name,
        port=found_port,
        key_name=options.get("hostkeyalias") or _key_name(name, found_port),
        has_proxy=any(options.get(key, "none") != "none" for key in ("proxyjump", "proxycommand")),
    )


def _key_name(host: str, port: int) -> str:
    return host if port == _DEFAULT_PORT else f"[{host}]:{port}"
