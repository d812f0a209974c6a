"""The token of `signalbox up` for the person who started it; see decision 15."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import re
from pathlib import Path

from bot.assembly.web.local_access import LocalAccess, local_url, read_access, write_access
from core.domain.actor import SYSTEM, Role
from core.domain.errors import OpsError
from core.domain.token import NewToken
from core.runner.worker.identity import disk_id_of
from core.services.tokens import TokenService

log = logging.getLogger(__name__)

# As much as the commands that act through the API need.
LOCAL_ROLE = Role.OPERATOR
_MAX_NAME_CHARS = 64
# Digits that make a home's name unique, with the hyphen before them.
_UNIQUE_CHARS = 9


async def grant_local_access(tokens: TokenService, home: Path, url: str) -> None:
    """Write the server's address and a valid token for this user into the home.

    The token of the last start is kept while it is valid.  A start does not fail for this: the
    commands of other machines, and Slack, do not need it.

    Args:
        tokens: Makes and checks tokens.
        home: The home of this process.
        url: The address on which it listens.
    """
    try:
        name = await asyncio.to_thread(token_name, home)
        known = await asyncio.to_thread(read_access, home)
        secret = await tokens.keep_or_replace(
            NewToken(name=name, role=LOCAL_ROLE),
            secret=None if known is None else known.token,
            by=SYSTEM,
        )
        access = LocalAccess(url=local_url(url), token=secret)
        await asyncio.to_thread(write_access, home, access)
    except (OpsError, OSError) as error:
        log.warning(
            "commands on this machine have no token: %s",
            error,
            extra={"event": "local_access.failed"},
        )


def token_name(home: Path) -> str:
    """How the token of a home is called: by this process's account, and by the home's disk.

    Two homes never share a name, so that they do not replace each other's token.
    """
    disk = disk_id_of(home)
    words = f"{_account_name()}-{disk[:-_UNIQUE_CHARS]}"
    allowed = re.sub(r"[^A-Za-z0-9._-]", "-", words).lstrip("._-") or "local"
    return f"{allowed[: _MAX_NAME_CHARS - _UNIQUE_CHARS]}{disk[-_UNIQUE_CHARS:]}"


def _account_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # A container may run under a number without a name.
        return f"uid{os.getuid()}"
