"""The script that gives an agent its way out of its network namespace, and becomes the program.

`bwrap` runs it inside the namespaces if the agent may not use the machine's network.  Arguments:
the worker's Unix socket, then the agent program and its arguments.
"""

import os
import sys


def main() -> None:
    """Hand the proxy's listening socket to the worker, and become the agent program."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "egress"))  # noqa: PTH118, PTH120
    from listener import (  # type: ignore[import-not-found]  # noqa: PLC0415 - found by path
        hand_over_listener,
        proxied_environment,
    )

    port = hand_over_listener(sys.argv[1])
    inherited = dict(os.environ)  # noqa: TID251 - the agent's own environment
    program = sys.argv[2]
    os.execve(program, sys.argv[2:], proxied_environment(inherited, port))  # noqa: S606


if __name__ == "__main__":
    main()
