"""The policy that holds for a workflow: its definition's, over that of the installation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.agent.definitions.catalog import Catalog
from core.domain.failures.retry_policy import DEFAULT_POLICY, RetryPolicy
from core.domain.workflow import UnknownWorkflow

# By the name of a workflow.
PolicyOf = Callable[[str], RetryPolicy]


def default_policy(_workflow: str) -> RetryPolicy:
    """The policy that holds if nothing else is said."""
    return DEFAULT_POLICY


@dataclass(frozen=True)
class Policies:
    """The policies of all workflows.

    Attributes:
        installation: That of `signalbox.toml`.
    """

    catalog: Catalog
    installation: RetryPolicy

    def __call__(self, workflow: str) -> RetryPolicy:
        """The policy of a workflow; of one that is gone, that of the installation."""
        try:
            return self.catalog.get(workflow).retry.over(self.installation)
        except UnknownWorkflow:
            return self.installation
