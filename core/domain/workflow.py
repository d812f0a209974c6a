"""A workflow definition: a named way of working."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from core.domain.errors import NotFound

DEFAULT_MAX_TURNS = 30
DEFAULT_TIMEOUT = timedelta(minutes=60)
# Bounds of what a person may ask for; beyond them a flag is a typing error, not a wish.
MAX_TURNS_LIMIT = 1000
MAX_TIMEOUT = timedelta(hours=24)
MAX_BUDGET_USD = Decimal(10_000)


class PermissionMode(StrEnum):
    """How the agent's tool calls are judged (names of the Claude Code program)."""

    DEFAULT = "default"
    ACCEPT_EDITS = "acceptEdits"
    PLAN = "plan"
    BYPASS = "bypassPermissions"
    DONT_ASK = "dontAsk"


class OnWorkerLost(StrEnum):
    """What becomes of a run whose worker died."""

    RESUME = "resume"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class WorkflowDefinition:
    """What a Markdown definition file says.

    Attributes:
        name: What people type; the file's name without `.md`.
        aliases: Other names for the same definition.
        prompt: The body: instructions added to the agent's system prompt.
        model: Name or alias the agent program takes; `None` is its own default.
        max_turns: Turn limit of one leg.
        budget_usd: Cost limit of one leg in US dollars; `None` is no limit.
        timeout: Wall time limit of one leg.
        setting_sources: Which settings files the agent reads; none by default, since a
            repository's settings can run its hooks.
        on_worker_lost: What becomes of a run whose worker died; `None` is what
            `signalbox.toml` says.
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


class UnknownWorkflow(NotFound):
    """No definition has this name or alias.

    Attributes:
        known: The names of the definitions there are.
        nearest: The name or alias that was perhaps meant.
    """

    code = "unknown_workflow"

    def __init__(self, name: str, known: tuple[str, ...], nearest: str | None = None) -> None:
        hint = f" Did you mean `{nearest}`?" if nearest else ""
        super().__init__(
            f"no workflow {name}",
            user_message=f"There is no workflow `{name[:60]}`.{hint} Known: {', '.join(known)}.",
        )
        self.name = name
        self.known = known
        self.nearest = nearest
