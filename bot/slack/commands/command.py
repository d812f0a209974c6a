"""What people can wish for by typing, as typed values."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from core.domain.kills.bulk_kill import KillSelection
from core.domain.runs.request import ContinueRequest, KillRequest, Place, RunFilter, StartRequest
from core.domain.runs.stats import Period


class Subcommand(StrEnum):
    """The first word."""

    RUN = "run"
    STATUS = "status"
    LIST = "list"
    KILL = "kill"
    CONTINUE = "continue"
    STATS = "stats"
    WORKERS = "workers"
    WORKFLOWS = "workflows"
    HELP = "help"


# Words that people try first; each does the same as the real one.
SYNONYMS: Mapping[str, Subcommand] = MappingProxyType(
    {
        "start": Subcommand.RUN,
        "show": Subcommand.STATUS,
        "ls": Subcommand.LIST,
        "runs": Subcommand.LIST,
        "stop": Subcommand.KILL,
        "cancel": Subcommand.KILL,
        "abort": Subcommand.KILL,
        "resume": Subcommand.CONTINUE,
        "worker": Subcommand.WORKERS,
        "fleet": Subcommand.WORKERS,
        "?": Subcommand.HELP,
        "--help": Subcommand.HELP,
        "-h": Subcommand.HELP,
    }
)


@dataclass(frozen=True, kw_only=True)
class OpenRunForm:
    """`run` alone: ask in a modal."""


@dataclass(frozen=True, kw_only=True)
class ShowStatus:
    """Show one run; `None` is an overview of what is live and recent."""

    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class ListRuns:
    """List recent runs."""

    run_filter: RunFilter


@dataclass(frozen=True, kw_only=True)
class ShowStats:
    """Show what a period adds up to."""

    period: Period


@dataclass(frozen=True, kw_only=True)
class ShowWorkers:
    """Show who executes runs."""


@dataclass(frozen=True, kw_only=True)
class ShowWorkflows:
    """Describe the workflows there are."""


@dataclass(frozen=True, kw_only=True)
class ShowHelp:
    """Say what can be typed; `topic` is one subcommand, `None` all."""

    topic: Subcommand | None = None


Command = (
    StartRequest
    | OpenRunForm
    | ShowStatus
    | ListRuns
    | KillRequest
    | KillSelection
    | ContinueRequest
    | ShowStats
    | ShowWorkers
    | ShowWorkflows
    | ShowHelp
)


@dataclass(frozen=True, kw_only=True)
class CommandContext:
    """Where a text was typed.

    Attributes:
        request_key: Slack's own id of the delivery.
        thread_run: Id of the newest run of the thread it was typed in: the run that is
            meant when none is named.
        has_forms: Whether a modal can be opened from here (a mention cannot).
        workflow_names: Names and aliases, to recognise a forgotten `run`.
    """

    request_key: str
    place: Place
    thread_run_id: str | None = None
    has_forms: bool = True
    workflow_names: Collection[str] = ()
