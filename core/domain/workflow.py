"""A workflow definition: the instructions, tools and limits of a kind of run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from core.domain.errors import NotFound
from core.domain.failure_cause import FailureCause
from core.domain.failures.retry_policy import AutoContinue, RetryPolicy
from core.domain.isolation import IsolationMode
from core.domain.reach.network import NetworkPolicy

DEFAULT_MAX_TURNS = 30
NO_OVERRIDES = RetryPolicy()
DEFAULT_TIMEOUT = timedelta(minutes=60)
# Bounds of what a person may request; a larger value is taken for a typing error.
MAX_TURNS_LIMIT = 1000
MAX_TIMEOUT = timedelta(hours=24)
MAX_BUDGET_USD = Decimal(10_000)


class PermissionMode(StrEnum):
    """How the agent program decides on tool calls; the values are the program's own names."""

    DEFAULT = "default"
    ACCEPT_EDITS = "acceptEdits"
    PLAN = "plan"
    BYPASS = "bypassPermissions"
    DONT_ASK = "dontAsk"


class OnWorkerLost(StrEnum):
    """What happens to a run whose worker died."""

    RESUME = "resume"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class WorkflowDefinition:
    """The content of a Markdown definition file.

    Attributes:
        name: The name that people type: the file's name without `.md`.
        aliases: Other names for the same definition.
        prompt: The body of the file: instructions added to the agent's system prompt.
        model: A model name or alias of the agent program; `None` is the program's default.
        max_turns: Turn limit of a run, over all its attempts.
        budget_usd: Cost limit of a run in US dollars, over all its attempts; `None` is no limit.
        timeout: Wall-clock limit of one attempt.
        setting_sources: The settings files that the agent reads.  None by default, because a
            repository's settings can contain hooks, which would run.
        on_worker_lost: What happens to a run whose worker died; `None` is the default of
            `signalbox.toml`.
        read_only: Whether the agent cannot change its workspace; it gets a scratch directory.
        isolation: How strictly its agents must be isolated; `None` is the default of
            `signalbox.toml`, and it cannot be less than that.
        network: The hosts that its agents may reach, at most those of `signalbox.toml`; `None` is
            all of them.
        retry: Which failures are tried again; what it leaves open is as in `signalbox.toml`.
        auto_continue: Whether the turn limit is followed by further legs; `None` is no.
    """

    name: str
    description: str
    prompt: str
    aliases: tuple[str, ...] = ()
    model: str | None = None
    max_turns: int = DEFAULT_MAX_TURNS
    budget_usd: Decimal | None = None
    timeout: timedelta = DEFAULT_TIMEOUT
    allowed_tools: tuple[str, ...] = ()
    disallowed_tools: tuple[str, ...] = ()
    permission_mode: PermissionMode = PermissionMode.ACCEPT_EDITS
    mcp_servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    setting_sources: tuple[str, ...] = ()
    on_worker_lost: OnWorkerLost | None = None
    read_only: bool = False
    isolation: IsolationMode | None = None
    network: NetworkPolicy | None = None
    retry: RetryPolicy = NO_OVERRIDES
    auto_continue: AutoContinue | None = None


def _with_aliases(name: str, aliases: tuple[str, ...]) -> str:
    return f"{name} (or {', '.join(aliases)})" if aliases else name


class UnknownWorkflow(NotFound):
    """No definition has this name or alias.

    Attributes:
        known: The names of the definitions there are; in the text each has its aliases after it.
        nearest: The name or alias that was perhaps meant.
    """

    code = "unknown_workflow"
    cause = FailureCause.WORKFLOW_MISSING

    def __init__(
        self,
        name: str,
        known: tuple[str, ...],
        nearest: str | None = None,
        *,
        aliases: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        hint = f" Did you mean `{nearest}`?" if nearest else ""
        listed = ", ".join(_with_aliases(one, (aliases or {}).get(one, ())) for one in known)
        super().__init__(
            f"no workflow {name}",
            user_message=f"There is no workflow `{name[:60]}`.{hint} Known: {listed}.",
        )
        self.name = name
        self.known = known
        self.nearest = nearest
        self.subject = name
