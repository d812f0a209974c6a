"""The file by which commands on this machine find the server of this home, and its token.

`signalbox up` writes it when it serves.  This module loads nothing heavy: commands start with it.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from pathlib import Path

from core.private_files import read_private_file, write_private_file

_FILE_NAME = "cli.json"


@dataclass(frozen=True, kw_only=True)
class LocalAccess:
    """Where a server of this machine is, and what admits to it.

    Attributes:
        url: The base URL of its web server, as this machine reaches it.
        token: An API token.
    """

    url: str
    token: str = field(repr=False)


def access_file(home: Path) -> Path:
    """The path of the file in a home."""
    return home / _FILE_NAME


def read_access(home: Path) -> LocalAccess | None:
    """What the file of a home says; `None` if it is missing, damaged, or if others may read it."""
    content = read_private_file(access_file(home))
    try:
        found = json.loads(content or "")
        url, token = found["url"], found["token"]
    except (ValueError, TypeError, KeyError):
        return None
    if not (isinstance(url, str) and isinstance(token, str) and url and token):
        return None
    return LocalAccess(url=url, token=token)


def write_access(home: Path, access: LocalAccess) -> None:
    """Replace the file of a home in one step; only this process's user may read it.

    Raises:
        OSError: If it cannot be written.
    """
    content = json.dumps({"url": access.url, "token": access.token}, indent=2)
    write_private_file(access_file(home), f"{content}\n")


def local_url(bound_url: str) -> str:
    """The URL by which this machine reaches a server that listens at `bound_url`.

    A server that listens on every address (`0.0.0.0`, `::`) is reached over loopback.
    """
    host, _, port = bound_url.removeprefix("http://").rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return bound_url
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address}:{port}" if address.version == 4 else f"http://[{address}]:{port}"
