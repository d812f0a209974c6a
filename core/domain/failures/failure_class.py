"""The classes of failures, which decide whether and when a run is tried again."""

from __future__ import annotations

from enum import StrEnum


class FailureClass(StrEnum):
    """What kind of failure ended an attempt; coarser than its cause, finer than its stop reason."""

    # The model's API.
    TRANSIENT = "transient"
    OVERLOADED = "overloaded"
    USAGE_LIMIT = "usage_limit"
    AUTHENTICATION = "authentication"
    REJECTED = "rejected"
    CONTEXT_TOO_LONG = "context_too_long"
    REFUSAL = "refusal"
    # The run's own limits.
    MAX_TURNS = "max_turns"
    BUDGET = "budget"
    TIMEOUT = "timeout"
    # The agent program.
    AGENT_CRASH = "agent_crash"
    NO_RESULT = "no_result"
    MIRROR_FAILED = "mirror_failed"
    # The worker, and what it prepares.
    WORKSPACE = "workspace"
    DISK_FULL = "disk_full"
    SETUP = "setup"
    WORKER_LOST = "worker_lost"
    UNKNOWN = "unknown"
