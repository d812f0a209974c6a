"""The part of the worker's environment that git may see: network access, but no secrets."""

import os
from collections.abc import Mapping

_PASSED_VARIABLES = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "XDG_CONFIG_HOME",
        # The worker's access to repositories, as its operator has set it up.
        "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
        # Proxies and certificates.
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
        "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
        "CURL_CA_BUNDLE",
    }
)  # fmt: skip


def git_environment() -> dict[str, str]:
    """Return the variables for git with their present values."""
    return {name: value for name, value in os.environ.items() if name in _PASSED_VARIABLES}


def names_to_unset(passed: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of this process's variables that are not in `passed`."""
    return tuple(sorted(name for name in os.environ if name not in passed))


def quoted(value: str) -> str:
    """A value as a git configuration file contains it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
