"""Scripts that fail: tools that do not end, and a program that ends too early."""

from __future__ import annotations

from datetime import timedelta

from bot.sandbox.model.api_errors import API_ERROR_SCRIPTS
from bot.sandbox.model.script import (
    Conversation,
    Play,
    Script,
    ToolCall,
    Turn,
    bash,
    play_in_order,
)

# The longest the Bash tool allows.
_MAX_BASH_TIMEOUT = timedelta(minutes=10)
_SLEEP = "sleep 600"
_STUBBORN = """\
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("ignoring signals", flush=True)
time.sleep(600)
"""
# Forty children, each in its own session, that ignore polite signals; and one that starts
# up to sixty more while they are killed.  All end automatically after ten minutes.
_FORK_STORM = """\
import os, signal, time
def child():
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)
    os._exit(0)
for index in range(40):
    if os.fork() == 0:
        child()
if os.fork() == 0:
    os.setsid()
    for index in range(60):
        if os.fork() == 0:
            child()
        time.sleep(0.05)
    child()
print("storm is up", flush=True)
time.sleep(600)
"""


def _python_command(source: str) -> str:
    return f"python3 -c {_shell_quote(source)}"


def _shell_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# Leaves the shell's session and closes the tool's pipes.
_ESCAPED = "setsid --fork sleep 600 </dev/null >/dev/null 2>&1"
# A daemon (forked twice) without the run's marker that ignores signals: only its parent
# process could identify it.
_DAEMON = (
    f'(env -i PATH="$PATH" setsid python3 -c {_shell_quote(_STUBBORN)} '
    "</dev/null >/dev/null 2>&1 &)"
)
_ESCAPED_STUBBORN = f"setsid --fork python3 -c {_shell_quote(_STUBBORN)} </dev/null >/dev/null 2>&1"
# The same, and it goes on in a new process in a new session every 50 ms, so that two looks at the
# process table meet different processes.  Its arguments contain the id of its run.
_VANISHING = """\
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
end = time.monotonic() + 600
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.05)
"""
_VANISH = (
    f'(env -i PATH="$PATH" setsid python3 -c {_shell_quote(_VANISHING)} '
    'vanishing "$SIGNALBOX_RUN_ID" </dev/null >/dev/null 2>&1 &)'
)
# Walks up from the shell to the agent's program.
_FIND_PROGRAM = """\
import os, signal, sys
pid = os.getppid()
while pid > 1:
    with open(f"/proc/{pid}/stat") as stat:
        name, rest = stat.read().split("(", 1)[1].rsplit(")", 1)
    if name.startswith("claude"):
        os.kill(pid, int(sys.argv[1]))
        break
    pid = int(rest.split()[1])
"""


def _hanging_tool(command: str) -> Play:
    """Run a command that does not end; a later continue gets a report."""

    def play(conversation: Conversation) -> Turn:
        if conversation.position == 0:
            return Turn(text="Something is left here first.", calls=(_write_marker_file(),))
        if conversation.position == 1 and not conversation.follow_ups:
            call = bash(command, "Work that takes a while", timeout=_MAX_BASH_TIMEOUT)
            return Turn(text="Now the long part.", calls=(call,))
        return Turn(
            text="## Summary\n\nThe long command was stopped before it ended, so its work is "
            "not done. What had been written before, the file `before-the-stop.txt`, is still "
            "in the work tree, uncommitted. Nothing else was changed; starting the long "
            "command again is safe, and needs a fresh task."
        )

    return play


def _slow_commit(conversation: Conversation) -> Turn:
    """Commit with a hook that takes `[pause: 1500]` milliseconds, then commit again."""
    if conversation.follow_ups:
        return Turn(text="## Summary\n\n" + "What was committed before the stop is whole. " * 5)
    pause = conversation.int_directive("pause", 1500, maximum=60_000) / 1000
    hook = f"#!/bin/sh\nsleep {pause}\n"
    install = (
        f"mkdir -p hooks && printf %s {_shell_quote(hook)} > hooks/pre-commit"
        " && chmod +x hooks/pre-commit && git config core.hooksPath hooks"
        " && echo precious > precious.txt && git add precious.txt"
    )
    stages = (
        Turn(text="A hook that checks with care.", calls=(bash(install, "Install a hook"),)),
        Turn(text="Committing.", calls=(bash("git commit -q -m first", "Commit the work"),)),
        Turn(
            text="And once more.",
            calls=(bash("git commit -q --allow-empty -m second", "Commit again"),),
        ),
    )
    if conversation.position < len(stages):
        return stages[conversation.position]
    return Turn(text="## Summary\n\n" + "Both commits went through the slow hook. " * 6)


def _write_marker_file() -> ToolCall:
    return bash("echo 'written before the stop' > before-the-stop.txt", "Leave a file")


def _end_program(signal_number: int) -> Play:
    """The tool kills the agent's own program."""

    def play(conversation: Conversation) -> Turn:
        if conversation.position == 0 and not conversation.follow_ups:
            return Turn(
                text="The program is about to end.",
                calls=(
                    bash(f"{_python_command(_FIND_PROGRAM)} {signal_number}; sleep 5", "End it"),
                ),
            )
        return Turn(text="## Summary\n\n" + "The program came back, and the work went on. " * 5)

    return play


_HANGING_TOOLS = {
    "kill-me": ("a tool that sleeps", _SLEEP),
    "kill-stubborn": ("a tool that ignores signals", _python_command(_STUBBORN)),
    "kill-escaped": ("a child in a session of its own", f"{_ESCAPED}; {_SLEEP}"),
    "kill-hostile": (
        "children that ignore signals and have left the session",
        f"{_ESCAPED_STUBBORN}; {_ESCAPED}; {_python_command(_STUBBORN)}",
    ),
    "kill-daemon": ("a daemon that forked twice and ignores signals", f"{_DAEMON}; {_SLEEP}"),
    "kill-vanishing": (
        "a daemon that ignores signals and goes on in a new process again and again",
        f"{_VANISH}; {_SLEEP}",
    ),
    "fork-storm": (
        "a hundred hostile children, more while they are killed",
        _python_command(_FORK_STORM),
    ),
}

FAILURE_SCRIPTS: tuple[Script, ...] = (
    *API_ERROR_SCRIPTS,
    *(
        Script(name=name, description=about, play=_hanging_tool(run))
        for name, (about, run) in _HANGING_TOOLS.items()
    ),
    Script(
        name="crash", description="the agent's program is killed (SIGKILL)", play=_end_program(9)
    ),
    Script(
        name="no-result",
        description="the agent's program ends without a result",
        play=_end_program(15),
    ),
    Script(
        name="slow-commit",
        description="two commits, each with a hook that sleeps ([pause: 1500] milliseconds)",
        play=_slow_commit,
    ),
    Script(name="empty", description="an answer without any text", play=play_in_order(Turn())),
)
