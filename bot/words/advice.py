"""Advice that a surface adds to an error: what to do next there, by the error's code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.domain.errors import OpsError

# A sentence, in which `{error.run_id}` stands for an attribute of the error; or a function of the
# error, if the sentence depends on more; or `None`, if the error needs no advice.
Advice = str | Callable[[Any], str] | None
AdviceTable = Mapping[str, Advice]


def advice_for(error: OpsError, table: AdviceTable) -> str:
    """What to do next on the surface of this table; empty if there is nothing to add.

    Errors of the surface itself are not in the table, since their text says what to do.
    """
    advice = table.get(error.code)
    if advice is None:
        return ""
    return advice.format(error=error) if isinstance(advice, str) else advice(error)


def with_advice(error: OpsError, table: AdviceTable) -> str:
    """What happened and what to do next, in the words of one surface."""
    return f"{error.user_message} {advice_for(error, table)}".rstrip()
