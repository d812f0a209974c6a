"""What a hostile program tries from within an agent's tool; it stands alone, as its file is copied.

Each attempt returns what it got, or raises.  The program prints one JSON object: the name of each
attempt, and either `{"got": …}` or `{"refused": …}`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

Target = Mapping[str, str]

# The numbers of the system calls `keyctl` and `add_key`, by machine.
KEYCTL = {"x86_64": 250, "aarch64": 219}
ADD_KEY = {"x86_64": 248, "aarch64": 217}


class Refused(Exception):
    """The attempt met nothing that it could use."""


def environment_of_the_worker(target: Target) -> str:
    """Read the environment of the worker's process."""
    return _secret_in(Path(f"/proc/{target['worker_pid']}/environ").read_bytes(), target)


def environment_of_any_process(target: Target) -> str:
    """Search the environments of all visible processes."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            return _secret_in(path.read_bytes(), target)
        except (OSError, Refused):
            continue
    raise Refused("no visible process has the secret")


def password_of_the_proxy(target: Target) -> str:
    """Find the login of the worker's proxy in the environment of a visible process."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if target["proxy_password"].encode() in path.read_bytes():
                return f"found it in {path}"
        except OSError:
            continue
    raise Refused("no visible process has it")


def memory_of_the_worker(target: Target) -> str:
    """Read the worker's memory."""
    pid = target["worker_pid"]
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, _, end = line.split()[0].partition("-")
        if "[stack]" in line or "[heap]" in line:
            with Path(f"/proc/{pid}/mem").open("rb") as memory:
                memory.seek(int(start, 16))
                return _secret_in(memory.read(int(end, 16) - int(start, 16)), target)
    raise Refused("no stack and no heap")


def signal_to_the_worker(target: Target) -> str:
    """Send the worker a signal that it would not survive."""
    os.kill(int(target["victim_pid"]), signal.SIGKILL)
    return "sent SIGKILL"


def trace_of_the_worker(target: Target) -> str:
    """Attach to the worker as a debugger."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, int(target["victim_pid"]), 0, 0) != 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    libc.ptrace(17, int(target["victim_pid"]), 0, 0)  # PTRACE_DETACH
    return "attached"


def settings_file(target: Target) -> str:
    """Read and extend the settings."""
    return _change_settings(Path(target["settings"]))


def database_password(target: Target) -> str:
    """Read the file with the database's password."""
    return Path(target["database_password"]).read_text()


def database_socket(target: Target) -> str:
    """Connect to the database's socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(target["database_socket"])
    return "connected"


def other_workspace(target: Target) -> str:
    """Change a file of another run's workspace."""
    (Path(target["other_workspace"]) / "planted").write_text("x")
    return "planted a file"


def other_agent_home(target: Target) -> str:
    """Read the configuration of another run's agent."""
    return (Path(target["other_agent_home"]) / "secret").read_text()


def home_of_the_user(target: Target) -> str:
    """Read a key in the home directory of the worker's user."""
    return (Path(target["user_home"]) / ".ssh" / "id_test").read_text()


def link_out_of_the_workspace(target: Target) -> str:
    """Write through a link that leads out of the workspace."""
    link = Path("link")
    link.unlink(missing_ok=True)
    link.symlink_to(target["settings"])
    return _change_settings(link)


def root_of_another_process(target: Target) -> str:
    """Reach the file system through another process's root directory."""
    for pid in ("1", target["worker_pid"]):
        path = Path(f"/proc/{pid}/root{target['settings']}")
        if path.exists():
            return path.read_text()
    raise Refused("no root directory leads there")


def namespace_of_the_worker(target: Target) -> str:
    """Enter the namespaces of the worker."""
    return _output("nsenter", "-t", target["worker_pid"], "-m", "-p", "cat", target["settings"])


def mount_of_a_disk(target: Target) -> str:
    """Change the mounts, also in a user namespace."""
    plain = ["mount", "-o", "remount,rw", "/usr"]
    for command in (plain, ["unshare", "-Urm", *plain]):
        try:
            return _output(*command) or "remounted /usr"
        except Refused:
            continue
    raise Refused("not permitted")


def new_proc(target: Target) -> str:
    """Mount a `/proc` that shows more."""
    return _output("unshare", "-Urmpf", "--mount-proc", "ls", f"/proc/{target['worker_pid']}")


def kernel_setting(target: Target) -> str:
    """Change a setting of the kernel that names a program to run; here to its present value."""
    path = Path("/proc/sys/kernel/core_pattern")
    path.write_text(path.read_text())
    return "wrote core_pattern"


def passwords_of_the_machine(target: Target) -> str:
    """Read a file of the system that not everybody may read."""
    return Path("/etc/shadow").read_text()[:20]


def system_directory(target: Target) -> str:
    """Plant a program in a directory of the system."""
    path = Path("/usr/local/bin/planted-by-a-test")
    path.write_text("x")
    path.unlink()
    return "planted a program"


def shared_memory(target: Target) -> str:
    """Read a segment of System V shared memory of the worker's user."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(int(target["shared_memory"]), None, 0o10000)  # SHM_RDONLY
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return _secret_in(ctypes.string_at(address, 64), target)


def session_keyring(target: Target) -> str:
    """Find a key in the session keyring of the worker, which children inherit."""
    libc = ctypes.CDLL(None, use_errno=True)
    keyctl = KEYCTL.get(os.uname().machine)
    if keyctl is None:
        raise Refused("this machine's number of the system call is not known")
    # KEYCTL_SEARCH in KEY_SPEC_SESSION_KEYRING
    if libc.syscall(keyctl, 10, -3, b"user", target["key"].encode(), 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "found the key"


def temporary_files(target: Target) -> str:
    """Read a temporary file of another program of the same user."""
    return Path(target["temporary_file"]).read_text()


ATTEMPTS: tuple[Callable[[Target], str], ...] = (
    environment_of_the_worker,
    environment_of_any_process,
    password_of_the_proxy,
    memory_of_the_worker,
    trace_of_the_worker,
    settings_file,
    link_out_of_the_workspace,
    database_password,
    database_socket,
    other_workspace,
    other_agent_home,
    home_of_the_user,
    root_of_another_process,
    namespace_of_the_worker,
    mount_of_a_disk,
    new_proc,
    kernel_setting,
    passwords_of_the_machine,
    system_directory,
    shared_memory,
    session_keyring,
    temporary_files,
    # Last, since it may succeed.
    signal_to_the_worker,
)


_BEAT = """
import os, sys, time
while True:
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(str(time.time()))
    os.replace(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(0.02)
"""


def leave_a_process(file: Path) -> None:
    """Leave a process that writes the time to `file` for as long as it lives.

    It changes session, loses its parents, empties its environment, and starts another program.
    """
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for handle in range(3):
                os.close(handle)
            os.execve(sys.executable, ["innocent", "-I", "-c", _BEAT, str(file)], {})
        os._exit(0)
    while not file.exists():
        time.sleep(0.01)


def _change_settings(path: Path) -> str:
    # Under `/tmp` the agent has an empty directory of its own at the same path.
    with path.open("r+") as file:
        if "slots" not in file.read():
            raise Refused("another file")
        file.write("# changed\n")
    return "changed signalbox.toml"


def _secret_in(content: bytes, target: Target) -> str:
    if target["secret"].encode() not in content:
        raise Refused("the secret is not there")
    return "found the secret"


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr.strip()[-200:])
    return done.stdout.strip()[:200]


def main() -> None:
    """Make all attempts on the target that the first argument describes."""
    target = json.loads(Path(sys.argv[1]).read_text())
    results = {}
    for attempt in ATTEMPTS:
        try:
            results[attempt.__name__] = {"got": attempt(target)}
        except (OSError, Refused, ValueError, subprocess.SubprocessError) as error:
            results[attempt.__name__] = {"refused": f"{type(error).__name__}: {error}"[:200]}
    Path("results.json").write_text(json.dumps(results))
    sys.stdout.write(json.dumps(results) + "\n")
    leave_a_process(Path("heartbeat").absolute())
    sys.stdout.write("All fine.\n")


if __name__ == "__main__":
    main()
