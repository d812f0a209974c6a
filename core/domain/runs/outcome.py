"""The outcome of a completed run: whether the evidence shows that something is left to do."""

from enum import StrEnum

# In a run's metadata, of the last test runs that were seen, one of each ecosystem:
# {"passed": 12, "failed": 0, "skipped": 1, "by_ecosystem": {"python": {"passed": 12, …}}};
# `passed` is null if the program does not count them, `partial` true if not all was seen.
TESTS_KEY = "tests"
# There, `true` if the run's workflow may not change the workspace.
READ_ONLY_KEY = "read_only"


class Outcome(StrEnum):
    """What the evidence says about a run that ended by itself."""

    CLEAN = "clean"
    ATTENTION = "attention"


class OutcomeReason(StrEnum):
    """Why a completed run needs a look; the order is that in which people read them."""

    TESTS_FAILED = "tests_failed"
    NOTHING_COMMITTED = "nothing_committed"
    STEPS_LEFT = "steps_left"
    UNCOMMITTED_CHANGES = "uncommitted_changes"


def outcome_of(reasons: tuple[OutcomeReason, ...]) -> Outcome:
    """The outcome that these reasons mean."""
    return Outcome.ATTENTION if reasons else Outcome.CLEAN


def outcome_reasons(
    *,
    failed_tests: int | None,
    commits: int | None,
    has_uncommitted: bool,
    steps_left: int,
    may_change: bool,
) -> tuple[OutcomeReason, ...]:
    """Judge a completed run by evidence only; what is unknown is no reason.

    Args:
        failed_tests: Tests that failed in the last test run seen; `None` if none was seen.
        commits: Commits that the run made; `None` if its changes could not be read.
        has_uncommitted: Whether changes of the run are in its workspace only.
        steps_left: Items of the agent's plan that are neither completed nor dropped by the agent.
        may_change: Whether its workflow may change the workspace.  One that may not (a review)
            has nothing to commit.
    """
    found = {
        OutcomeReason.TESTS_FAILED: bool(failed_tests),
        OutcomeReason.NOTHING_COMMITTED: may_change and commits == 0,
        OutcomeReason.STEPS_LEFT: steps_left > 0,
        OutcomeReason.UNCOMMITTED_CHANGES: has_uncommitted,
    }
    return tuple(reason for reason in OutcomeReason if found[reason])
