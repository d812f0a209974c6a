"""What git may see of the worker's environment: the way to the network, and no secrets."""

import os
from collections.abc import Mapping

_PASSED_VARIABLES = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "XDG_CONFIG_HOME",
        # How a person gave the worker access to repositories.
        "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
        # How it gets out.
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
        "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
        "CURL_CA_BUNDLE",
    }
)  # fmt: skip


def git_environment() -> dict[str, str]:
    """The variables git gets, as they are now."""
    return {name: value for name, value in os.environ.items() if name in _PASSED_VARIABLES}


def names_to_unset(passed: Mapping[str, str]) -> tuple[str, ...]:
    """Names of all variables of this process that are not `wanted`."""
    return tuple(sorted(name for name in os.environ if name not in passed))
