"""The commands that people can type, as typed values."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bot.slack.commands.alerts.values import AlertCommand
from core.domain.kills.bulk_kill import KillSelection
from core.domain.runs.request import ContinueRequest, KillRequest, Place, RunFilter, StartRequest
from core.domain.runs.restarts.request import RestartMode
from core.domain.runs.stats import Period


class Subcommand(StrEnum):
    """The first word after `/workflow`."""

    RUN = "run"
    STATUS = "status"
    LIST = "list"
    KILL = "kill"
    CONTINUE = "continue"
    RESTART = "restart"
    SESSIONS = "sessions"
    ALERTS = "alerts"
    STATS = "stats"
    WORKERS = "workers"
    WORKSPACES = "workspaces"
    WORKFLOWS = "workflows"
    DASHBOARD = "dashboard"
    HELP = "help"


# Other words that people try first.
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
        "rewind": Subcommand.RESTART,
        "rollback": Subcommand.RESTART,
        "session": Subcommand.SESSIONS,
        "conversations": Subcommand.SESSIONS,
        "alert": Subcommand.ALERTS,
        "alarms": Subcommand.ALERTS,
        "notifications": Subcommand.ALERTS,
        "subscriptions": Subcommand.ALERTS,
        "worker": Subcommand.WORKERS,
        "fleet": Subcommand.WORKERS,
        "workspace": Subcommand.WORKSPACES,
        "disk": Subcommand.WORKSPACES,
        "web": Subcommand.DASHBOARD,
        "login": Subcommand.DASHBOARD,
        "?": Subcommand.HELP,
        "--help": Subcommand.HELP,
        "-h": Subcommand.HELP,
    }
)


# After `help`: everything, not only the most used commands.
ALL_HELP = frozenset({"all", "--all", "—all", "–all", "everything"})


@dataclass(frozen=True, kw_only=True)
class OpenRunForm:
    """Open the form for a new run: `run` without arguments."""


@dataclass(frozen=True, kw_only=True)
class ShowStatus:
    """Show one run, or one session; without a target, an overview of live and recent runs."""

    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class ListRuns:
    """List recent runs."""

    run_filter: RunFilter


@dataclass(frozen=True, kw_only=True)
class ListSessions:
    """List the sessions that were used last.

    Attributes:
        is_open: Only open ones, or only closed ones; `None` for both.
    """

    is_mine: bool = False
    is_open: bool | None = True


@dataclass(frozen=True, kw_only=True)
class ShowSession:
    """Show one session with its legs, by its name or the beginning of its id."""

    target: str


@dataclass(frozen=True, kw_only=True)
class ChangeSession:
    """Give a session another name, close it, or open it again.

    Attributes:
        name: The new name; `None` if it is closed or opened.
        is_open: Whether it is opened; only without a new name.
    """

    target: str
    name: str | None = None
    is_open: bool = True


SessionCommand = ListSessions | ShowSession | ChangeSession


@dataclass(frozen=True, kw_only=True)
class ShowStats:
    """Show the statistics of a period."""

    period: Period


@dataclass(frozen=True, kw_only=True)
class ShowWorkers:
    """Show the workers."""


@dataclass(frozen=True, kw_only=True)
class ShowDashboard:
    """Make a link that signs the person in to the dashboard."""


@dataclass(frozen=True, kw_only=True)
class ShowWorkspaces:
    """Show the workspaces on workers' disks."""


@dataclass(frozen=True, kw_only=True)
class ShowWorkflows:
    """Describe the available workflows."""


@dataclass(frozen=True, kw_only=True)
class ShowHelp:
    """Explain one subcommand, or the most used ones if `topic` is `None`.

    Attributes:
        is_complete: Whether to explain all subcommands.
    """

    topic: Subcommand | None = None
    is_complete: bool = False


@dataclass(frozen=True, kw_only=True)
class OfferKill:
    """Offer the person's live runs to stop: `kill` without a run.

    Attributes:
        force: Whether to stop the chosen one without grace.
    """

    force: bool = False


@dataclass(frozen=True, kw_only=True)
class AskRestart:
    """Show what a restart would do, and ask.

    Attributes:
        checkpoint: The number of the checkpoint; `None` for the start.
        is_chosen: Whether the person said from where; otherwise the form offers the points.
    """

    target: str
    checkpoint: int | None = None
    is_chosen: bool = False
    mode: RestartMode = RestartMode.FORK
    message: str | None = None


Command = (
    StartRequest
    | OpenRunForm
    | ShowStatus
    | ListRuns
    | KillRequest
    | KillSelection
    | OfferKill
    | ContinueRequest
    | AskRestart
    | SessionCommand
    | AlertCommand
    | ShowStats
    | ShowWorkers
    | ShowWorkspaces
    | ShowDashboard
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
