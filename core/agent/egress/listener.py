"""The namespace's side of the handover: opens the proxy's port inside, and sends it to the worker.

`launch.py` loads this file by its path in an agent's own network namespace, before the agent
program: it imports only a little of the standard library and nothing of the project.
"""

import array
import os
import socket

_BACKLOG = 256
_LIMIT_SECONDS = 10
# Of `sockaddr_un`, without the final zero byte.
_MAX_SOCKET_PATH_BYTES = 107
# Programs disagree on the case; curl reads the lower-case form of HTTP_PROXY only.
PROXY_VARIABLES = (
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy",
)  # fmt: skip
# Whatever they name would be reached directly, and there is no way out but the proxy.
_EXCEPTION_VARIABLES = ("NO_PROXY", "no_proxy")


def hand_over_listener(path: str) -> int:
    """Listen on this network namespace's loopback, and hand the socket to the worker.

    This process keeps no end of it.  Connections queue in the kernel until the worker accepts
    them, so the agent may start at once.

    Args:
        path: The worker's Unix socket, see `hand_over.py`.

    Returns:
        The port, to be used with `proxied_environment`.

    Raises:
        OSError: If there is no loopback interface, or the worker is not there.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel,
    ):
        listener.bind(("127.0.0.1", 0))
        listener.listen(_BACKLOG)
        channel.settimeout(_LIMIT_SECONDS)
        _connect(channel, path)
        descriptors = array.array("i", [listener.fileno()])
        channel.sendmsg([b"L"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        port: int = listener.getsockname()[1]
        return port


def proxied_environment(environment: dict[str, str], port: int) -> dict[str, str]:
    """The environment with which programs use the proxy at this port for every host."""
    kept = {name: text for name, text in environment.items() if name not in _EXCEPTION_VARIABLES}
    return {**kept, **dict.fromkeys(PROXY_VARIABLES, f"http://127.0.0.1:{port}")}


def _connect(channel: socket.socket, path: str) -> None:
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES:
        channel.connect(path)
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        channel.connect(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)
