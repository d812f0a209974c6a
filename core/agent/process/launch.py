"""Become the agent program, with a clean environment.

Run as a script by `launch.sh`, in the agent's own process, before the program: the SDK
passes its whole environment on, and the worker's holds secrets that an agent must not see.
Uses only the standard library, and little of it: every start of an agent waits for it.
"""

import os
import signal
import sys

# Names of the variables that were given to the agent on purpose, separated by commas.
GIVEN_VARIABLE = "SIGNALBOX_AGENT_GIVEN"
PROGRAM_VARIABLE = "SIGNALBOX_AGENT_PROGRAM"
PYTHON_VARIABLE = "SIGNALBOX_AGENT_PYTHON"
# Where the task lists are kept; the program looks for them in its configuration.
TASKS_VARIABLE = "SIGNALBOX_AGENT_TASKS"
# A link beside the agent's home to a configuration directory that is somewhere else.
RESUMED_LINK = "resumed"

# What a program needs of the machine: where things are, its language, its way out.
# IS_SANDBOX is the operator's word that this machine may be lost: without it the program
# refuses to bypass permissions as root.
INHERITED_VARIABLES = frozenset(
    {
        "PATH", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "USER", "LOGNAME", "SHELL", "PWD",
        "IS_SANDBOX", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "HTTP_PROXY", "HTTPS_PROXY",
        "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    }
)  # fmt: skip
# What the SDK says to the program it starts.
_SDK_VARIABLES = frozenset(
    {
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_AGENT_SDK_VERSION",
        "CLAUDE_CODE_SDK_READS_SESSION_STATE",
    }
)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Replace this process by the agent program."""
    inherited = os.environ  # noqa: TID251 - the agent's own environment, about to be cleaned
    program = inherited[PROGRAM_VARIABLE]
    allowed = INHERITED_VARIABLES | _SDK_VARIABLES | frozenset(inherited[GIVEN_VARIABLE].split(","))
    clean = {
        name: value
        for name, value in inherited.items()
        if name in allowed or name.startswith("LC_")
    }
    if TASKS_VARIABLE in inherited:
        # The SDK resumes in a configuration directory of its own making.
        os.symlink(  # noqa: PTH211 - pathlib is slow to load
            inherited[TASKS_VARIABLE], clean["CLAUDE_CONFIG_DIR"] + "/tasks"
        )
    home, config = os.path.split(clean["HOME"])[0], clean["CLAUDE_CONFIG_DIR"]
    if not config.startswith(home) and not os.path.lexists(f"{home}/{RESUMED_LINK}"):
        # Where the SDK made it, for who clears away after a worker that was killed.
        os.symlink(config, f"{home}/{RESUMED_LINK}")  # noqa: PTH211 (as above)
    # Its own session: a Ctrl-C at the worker's terminal is the worker's to handle.
    os.setsid()
    if sys.platform == "linux":
        _bind_to_worker()
    os.execve(program, [program, *sys.argv[1:]], clean)  # noqa: S606 - no shell is wanted


def _bind_to_worker() -> None:
    """End with the worker, and keep the orphans of the tree within the tree.

    Both survive `execve`.  An agent must not work on after its worker died: the run is
    resumed elsewhere.  A daemon that a tool leaves behind becomes this process's child.
    """
    import ctypes  # noqa: PLC0415 - not needed elsewhere, and slow to load

    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    main()
