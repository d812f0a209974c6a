"""Protection of this process's memory and environment from other programs of its user (Linux).

Without it every process of the same user may read `/proc/<pid>/environ` and `/proc/<pid>/mem`, and
attach a debugger.  Agents run programs of strangers as the worker's user.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


def protect_process() -> bool:
    """Let nobody but root read this process, and prevent core dumps.

    The kernel resets this when a program is started, so every program of ours calls it, before it
    reads a secret.  Forked children inherit it.

    An unprivileged process then also loses access to those of its own files in `/proc/self` that
    only their owner may open (`environ`, `mem`, `io`); the others stay readable, also for others.

    Returns:
        Whether the process is protected: False where the system has no such protection.
    """
    _, hard_limit = resource.getrlimit(resource.RLIMIT_CORE)
    # Children inherit the limit, and may raise it again for themselves.
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard_limit))
    if sys.platform != "linux":
        return False
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return is_protected()


def is_protected() -> bool:
    """Return whether only root may read this process."""
    if sys.platform != "linux":
        return False
    state: int = ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)
    # 2 is the protection that the kernel itself gives, for example to a program with setuid.
    return state in (0, 2)
