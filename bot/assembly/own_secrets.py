"""What of this process's own settings and environment is secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

# Names of variables, and of an address's parameters, whose values are secret.
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:token|secret|passwd|pwd|pass|passphrase|pat|credentials?|auth"
    r"|(?:api|access|private|secret|account|encryption|signing|auth|master)_?key)$|password$",
    re.IGNORECASE,
)
# The working directories of a shell, and no passwords.
_DIRECTORIES = frozenset({"PWD", "OLDPWD"})


def secrets_in_environment(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables that are called a secret, for example `GITHUB_TOKEN`."""
    return tuple(
        value
        for name, value in environment.items()
        if name not in _DIRECTORIES and _SECRET_NAME.search(name)
    )


def secrets_in_value(value: str) -> tuple[str, ...]:
    """A secret value, of which an address is secret only if it has a password."""
    return secrets_in_address(value) if "://" in value else (value,)


def secrets_in_address(address: str) -> tuple[str, ...]:
    """The address and its passwords, as written and decoded; nothing if it has none."""
    try:
        parts = urlsplit(address)
        password = parts.password
    except ValueError:
        # Malformed, so that nothing of it can be told from its password.
        return (address,)
    query = (value for name, value in parse_qsl(parts.query) if _SECRET_NAME.search(name))
    written = [value for value in (password, *query) if value]
    return (address, *written, *map(unquote, written)) if written else ()
