"""What the runs of the campaign do: healthy ones that are silent for long, and ones that hang."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bot.sandbox.model.scenarios import SCRIPTS
from bot.sandbox.model.script import (
    Conversation,
    Failure,
    FailureKind,
    Play,
    Script,
    ToolCall,
    Turn,
    bash,
    play_in_order,
)
from core.domain.alerts.detectors.limits import AlertLimits, StallLimits
from core.domain.runs.activity.awaited import AwaitedKind

# The longest that the Bash tool allows.
_TOOL_LIMIT = timedelta(minutes=10)
# A file in a workspace: when its tool began to hang, in seconds since the epoch.
HUNG_AT = "hung-at"
# A file in a workspace: the person has answered.
ANSWERED = "answered"
# At pace 1 the limits are so many seconds: of minutes at real ones.
_IDLE, _TOOL, _PERSON = 5.0, 7.0, 12.0
_DONE = Turn(text="## Summary\n\n" + "All of it went well, although it took its time. " * 5)


@dataclass(frozen=True)
class Case:
    """What one kind of run does.

    Attributes:
        play: The answers of the model.
        hangs_in: What an alert must say that it waits for; `None` for a healthy run.
        names: What an alert must name.
        waits_for_person: Whether a person is waited for, for longer than a tool may be silent.
    """

    play: Play
    hangs_in: AwaitedKind | None = None
    names: str | None = None
    waits_for_person: bool = False


def limits_at(pace: float) -> AlertLimits:
    """The limits at a pace; none but those of stalls can be reached."""
    return AlertLimits(
        stall=StallLimits(
            idle=timedelta(seconds=pace * _IDLE),
            tool=timedelta(seconds=pace * _TOOL),
            person=timedelta(seconds=pace * _PERSON),
        )
    )


def healthy_cases(pace: float) -> Mapping[str, Case]:
    """Runs of which none may be told, by name; each is silent for longer than a limit or nearly."""
    longer = pace * (_TOOL + 3)
    return {
        "build": Case(_tool(_python(_PRINTING, longer))),
        "quiet-build": Case(_tool(_python(_WRITING, longer))),
        "compute": Case(_tool(_python(_WORKING, longer))),
        "many-processes": Case(_tool(f"for i in $(seq {round(2 * longer)}); do sleep 0.5; done")),
        "sleep": Case(_tool(f"sleep {0.5 * pace * _TOOL}")),
        "slow-model": Case(_slow_answers(0.5 * pace * _IDLE)),
        "retry": Case(_retried(pace * (_IDLE + 2))),
        "subagent": Case(_delegating("helper")),
        "person": Case(_tool(_python(_ASKING, 10 * pace * _PERSON)), waits_for_person=True),
        "work": Case(SCRIPTS["work"].play),
    }


def hung_cases(pace: float) -> Mapping[str, Case]:
    """Runs that hang, by name."""
    tool = AwaitedKind.TOOL
    return {
        "model": Case(play_in_order(_call("echo first"), _NO_ANSWER), AwaitedKind.MODEL),
        "sleeper": Case(_tool(_SLEEPER), tool, "sleep 600"),
        "stopped": Case(_tool(_STOPPED), tool, "kill -STOP"),
        "deadlock": Case(_tool(_python(_DEADLOCK, 0)), tool, "os.pipe"),
        "works-first": Case(_tool(_python(_HANGING_LATER, 0.5 * pace * _TOOL)), tool, "python3"),
        "beside-daemon": Case(
            play_in_order(
                _call(f"({_python(_WORKING, 120)} </dev/null >/dev/null 2>&1 &)"),
                _call(_SLEEPER, delay=timedelta(seconds=0.5 * pace * _IDLE)),
                _DONE,
            ),
            tool,
            "sleep 600",
        ),
        "subagent-hung": Case(_delegating("sleeper"), tool, "sleep 600"),
    }


def script_of(pace: float) -> Script:
    """The script for every run of a campaign; `[case: …]` in the task names what it does."""
    plays = {name: case.play for name, case in {**healthy_cases(pace), **hung_cases(pace)}.items()}
    pause = timedelta(seconds=0.5 * pace * _IDLE)
    helping = [_call("echo helping", delay=pause)] * 3
    plays["helper"] = play_in_order(*helping, _DONE)

    def play(conversation: Conversation) -> Turn:
        return plays[conversation.directives["case"]](conversation)

    return Script(name="stalls", description="is silent for long, or hangs", play=play)


def _call(command: str, *, delay: timedelta | None = None) -> Turn:
    return Turn(text="Now this.", calls=(bash(command, command, timeout=_TOOL_LIMIT),), delay=delay)


def _tool(command: str) -> Play:
    return play_in_order(_call(command), _DONE)


def _slow_answers(seconds: float) -> Play:
    delay = timedelta(seconds=seconds)
    return play_in_order(
        _call("echo one", delay=delay),
        _call("echo two", delay=delay),
        _call("echo three", delay=delay),
        _DONE,
    )


def _retried(seconds: float) -> Play:
    """The API is overloaded, and says when it is to be asked again."""
    failure = Failure(
        status=529,
        error_type="overloaded_error",
        message="Overloaded",
        headers={"retry-after": str(round(seconds))},
        should_retry=True,
    )
    return play_in_order(
        _call("echo first"),
        Turn(text="Again.", calls=(bash("echo again", "Again"),), failure=failure),
        _DONE,
    )


def _delegating(case: str) -> Play:
    arguments = {
        "description": "Survey the files",
        "prompt": f"[case: {case}] Survey the files of this repository.",
        "subagent_type": "general-purpose",
    }
    return play_in_order(Turn(text="A helper.", calls=(ToolCall("Task", arguments),)), _DONE)


def _python(source: str, seconds: float) -> str:
    """A command that runs a program, for so many seconds if it ends."""
    quoted = source.strip().replace("SECONDS", str(round(seconds, 1)))
    return f"python3 -u -c '{quoted}'"


_PRINTING = """
import time
end = time.time() + SECONDS
while time.time() < end: print("line"); time.sleep(0.4)
"""
_WRITING = """
import time
end, out = time.time() + SECONDS, open("built", "wb", 0)
while time.time() < end: out.write(b"."); time.sleep(0.4)
"""
# A tenth of a processor.
_WORKING = """
import time
end = time.time() + SECONDS
while time.time() < end:
    pause = time.process_time() + 0.02
    while time.process_time() < pause: pass
    time.sleep(0.18)
"""
_ASKING = f"""
import os, time
end = time.time() + SECONDS
while time.time() < end and not os.path.exists("{ANSWERED}"): time.sleep(0.5)
"""
# Parent and child wait for each other: each has an end of the pipe that nobody writes to.
_DEADLOCK = f"""
import os, time; ends = os.pipe()
open("{HUNG_AT}", "w").write(str(time.time()))
child = os.fork()
os.waitpid(child, 0) if child else os.read(ends[0], 1)
"""
_HANGING_LATER = f"""
import time
end = time.time() + SECONDS
while time.time() < end: print("line"); time.sleep(0.4)
open("{HUNG_AT}", "w").write(str(time.time()))
time.sleep(600)
"""
_NOTE_TIME = f"date +%s.%N > {HUNG_AT}"
_SLEEPER = f"{_NOTE_TIME}; sleep 600"
_STOPPED = f"bash -c '{_NOTE_TIME}; kill -STOP $$'"
_NO_ANSWER = Turn(failure=Failure(kind=FailureKind.HANG, times=None))
