"""The script that becomes the agent program, with a clean environment.

`launch.sh` runs it in the agent's process before the program: the SDK passes on its whole
environment, and the worker's contains secrets that an agent must not see.  If the agent is to be
isolated, this process becomes `bwrap`, which starts the program in namespaces of its own.  It
imports only a little of the standard library, because every start of an agent waits for it.
"""

import os
import signal
import sys

# Names of the variables that were given to the agent on purpose, separated by commas.
GIVEN_VARIABLE = "SIGNALBOX_AGENT_GIVEN"
PROGRAM_VARIABLE = "SIGNALBOX_AGENT_PROGRAM"
PYTHON_VARIABLE = "SIGNALBOX_AGENT_PYTHON"
# The directory of the task lists; the program expects it in its configuration directory.
TASKS_VARIABLE = "SIGNALBOX_AGENT_TASKS"
# The arguments of `bwrap`, and the program itself; without them the agent is not isolated.
ISOLATION_VARIABLE = "SIGNALBOX_AGENT_ISOLATION"
ISOLATOR_VARIABLE = "SIGNALBOX_AGENT_ISOLATOR"
# The Unix socket that takes the listening socket of the agent's own network namespace.
NETWORK_VARIABLE = "SIGNALBOX_AGENT_NETWORK"
# A link beside the agent's home to a configuration directory elsewhere, see `main`.
RESUMED_LINK = "resumed"

PROXY_VARIABLES = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
)  # fmt: skip
# What a program needs to know of the machine: paths, language, certificates, proxies.
# With IS_SANDBOX the operator declares that the machine is disposable; without it the program
# refuses to bypass permissions as root.
INHERITED_VARIABLES = frozenset(
    {
        "PATH", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "USER", "LOGNAME", "SHELL", "PWD",
        "IS_SANDBOX", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "NO_PROXY", "no_proxy",
        *PROXY_VARIABLES,
    }
)  # fmt: skip
# Variables that the SDK sets for the program it starts.
_SDK_VARIABLES = frozenset(
    {
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_AGENT_SDK_VERSION",
        "CLAUDE_CODE_SDK_READS_SESSION_STATE",
    }
)
# The number of the system call `keyctl`, by machine; libc has no function for it.
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_KEYCTL_JOIN_SESSION_KEYRING = 1
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Clean the environment, and replace this process by the agent program."""
    inherited = os.environ  # noqa: TID251 - the agent's own environment, about to be cleaned
    program = inherited[PROGRAM_VARIABLE]
    given = frozenset(inherited[GIVEN_VARIABLE].split(","))
    allowed = INHERITED_VARIABLES | _SDK_VARIABLES | given
    clean = {
        name: value
        for name, value in inherited.items()
        if name in allowed or name.startswith("LC_")
    }
    for name in clean.keys() & set(PROXY_VARIABLES) - given:
        clean[name] = without_login(clean[name])
    if TASKS_VARIABLE in inherited:
        # The SDK resumes a session in a configuration directory that it creates itself.
        os.symlink(  # noqa: PTH211 - pathlib is slow to load
            inherited[TASKS_VARIABLE], clean["CLAUDE_CONFIG_DIR"] + "/tasks"
        )
    home, config = os.path.split(clean["HOME"])[0], clean["CLAUDE_CONFIG_DIR"]
    if not config.startswith(home) and not os.path.lexists(f"{home}/{RESUMED_LINK}"):
        # The clean-up after a killed worker finds the SDK's directory by this link.
        os.symlink(config, f"{home}/{RESUMED_LINK}")  # noqa: PTH211 (as above)
    command = [program, *sys.argv[1:]]
    if ISOLATION_VARIABLE in inherited:
        if NETWORK_VARIABLE in inherited:
            python = os.path.realpath(sys.executable)
            inside = os.path.join(os.path.dirname(__file__), "launch_inside.py")  # noqa: PTH118, PTH120
            command = [python, "-I", "-S", inside, inherited[NETWORK_VARIABLE], *command]
        command = _isolated(command, inherited[ISOLATION_VARIABLE], config)
        program = inherited[ISOLATOR_VARIABLE]
        if sys.platform == "linux":
            _leave_keyring()
    # A session of its own, so that Ctrl-C in the worker's terminal reaches only the worker.
    os.setsid()
    if sys.platform == "linux":
        _bind_to_worker()
    os.execve(program, command, clean)  # noqa: S606 - no shell is wanted


def without_login(address: str) -> str:
    """The address of a proxy without a user's name and password.

    They are the worker's, and everything that an agent starts could read them.
    """
    scheme, separator, rest = address.partition("://")
    if not scheme.isalnum():
        # A password can contain the separator.
        scheme, separator, rest = "", "", address
    return scheme + separator + rest.rpartition("@")[2]


def _isolated(command: list[str], arguments_file: str, config: str) -> list[str]:
    """Return the command that runs `command` in namespaces of its own; `bwrap` is its first word.

    The arguments are read from a file, so that no list of processes shows them to the agent.
    """
    handle = os.open(arguments_file, os.O_RDONLY)
    os.set_inheritable(handle, True)
    # The configuration directory may be one that the SDK has just created (see above).
    last = ["--bind", config, config, "--remount-ro", "/", "--"]
    return ["bwrap", "--args", str(handle), *last, *command]


def _leave_keyring() -> None:
    """Give this process an empty session keyring, which a namespace would not do.

    That of the worker's login may hold tickets and passwords, and a child may read what is in it.
    """
    import ctypes  # noqa: PLC0415 - not needed elsewhere, and slow to load

    number = _KEYCTL.get(os.uname().machine)
    if number is not None:
        # It fails only where there are no keyrings.
        ctypes.CDLL(None).syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)


def _bind_to_worker() -> None:
    """Make this process end with its worker, and adopt the orphans of its tree.

    Both settings survive `execve`.  An agent must not go on after its worker has died, because
    the run is resumed elsewhere.  A daemon that a tool leaves behind becomes this process's child.
    """
    import ctypes  # noqa: PLC0415 - not needed elsewhere, and slow to load

    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    main()
