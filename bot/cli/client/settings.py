"""What commands that act through the API read from the environment.

Not a pydantic class as the settings of a server are: loading those takes longer than a command.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from core.private_files import default_home

# The port of a server whose settings name none.
DEFAULT_PORT = "8765"


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """Where the server is, and what admits to it; an empty variable counts as not set.

    Attributes:
        url: `SIGNALBOX_URL`.
        token: `SIGNALBOX_TOKEN`.
        home: `SIGNALBOX_HOME`, where a server of this machine leaves both.
        port: `SIGNALBOX_PORT`, on which a server of this machine listens; the usual one if that is
            not known before it listens.
    """

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    home: Path
    port: str = DEFAULT_PORT


def read_client_settings() -> ClientSettings:
    """Read the environment."""
    home = os.environ.get("SIGNALBOX_HOME")
    port = os.environ.get("SIGNALBOX_PORT", "").strip()
    return ClientSettings(
        url=os.environ.get("SIGNALBOX_URL", "").strip() or None,
        token=os.environ.get("SIGNALBOX_TOKEN", "").strip() or None,
        home=Path(home).expanduser().absolute() if home else default_home(),
        port=port if port.isascii() and port.isdigit() and int(port) else DEFAULT_PORT,
    )


def proxy_of_environment(scheme: str, host: str) -> str | None:
    """The proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name for a host."""
    # Takes as long to load as the rest of this module, and few need it.
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415

    return None if proxy_bypass(host) else getproxies().get(scheme)
