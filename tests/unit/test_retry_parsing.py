"""`retry` and `auto_continue` of definitions and settings: what they mean, what is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from core.agent.definitions.definition import BadDefinition, parse_definition
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_parsing import InvalidRetry, parse_auto_continue, parse_retry
from core.domain.failures.retry_policy import (
    DEFAULT_POLICY,
    NEVER,
    AutoContinue,
    RetryPolicy,
    RetryRule,
)
from core.domain.workflow import OnWorkerLost, WorkflowDefinition

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["attempts", "backoff", "wait", "budget_usd", "transient", "usage_limit"]
            )
            | st.text(max_size=10),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def definition(*lines: str) -> WorkflowDefinition:
    front = "\n".join(lines)
    return parse_definition("x.md", f"---\ndescription: d\n{front}\n---\nWork.")


def test_a_definition_names_rules_by_class() -> None:
    found = definition(
        "retry:",
        "  transient: {attempts: 5, backoff: 10s..1h}",
        "  overloaded: never",
        "  agent_crash: {attempts: 1}",
        "  usage_limit: {wait: 12h}",
        "  budget_usd: 2.5",
        "auto_continue: {max_turns: 3, budget_usd: 10}",
    )

    assert found.retry == RetryPolicy(
        rules={
            FailureClass.TRANSIENT: RetryRule(
                attempts=5, first=timedelta(seconds=10), longest=timedelta(hours=1)
            ),
            FailureClass.OVERLOADED: RetryRule(attempts=0),
            FailureClass.AGENT_CRASH: RetryRule(attempts=1),
        },
        longest_wait=timedelta(hours=12),
        budget_usd=Decimal("2.5"),
    )
    assert found.auto_continue == AutoContinue(legs=3, budget_usd=Decimal(10))


def test_a_rule_without_a_backoff_keeps_the_usual_pauses() -> None:
    rule = parse_retry({"overloaded": {"attempts": 1}}).rule(FailureClass.OVERLOADED)

    usual = DEFAULT_POLICY.rule(FailureClass.OVERLOADED)
    assert (rule.first, rule.longest) == (usual.first, usual.longest)


def test_without_the_keys_nothing_is_overridden() -> None:
    found = definition()

    assert found.retry == RetryPolicy()
    assert found.auto_continue is None


@pytest.mark.parametrize(
    ("line", "choice"),
    [
        ("retry: {worker_lost: never}", OnWorkerLost.FAIL),
        ("retry: {worker_lost: {attempts: 1}}", OnWorkerLost.RESUME),
        ("retry: {worker_lost: {attempts: 0}}", OnWorkerLost.FAIL),
        ("retry: never", None),
    ],
)
def test_a_rule_for_lost_workers_decides_what_happens_then(
    line: str, choice: OnWorkerLost | None
) -> None:
    assert definition(line).on_worker_lost is choice


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("retry: 3", "must be `never`, or rules by class"),
        ("retry: {transint: never}", "did you mean `transient`?"),
        ("retry: {refusal: {attempts: 1}}", "`refusal` cannot be tried again"),
        ("retry: {max_turns: {attempts: 1}}", "`auto_continue` starts further legs"),
        ("retry: {transient: 3}", "`transient` must be `never`, or limits"),
        ("retry: {transient: {tries: 3}}", "has the unknown key `tries`"),
        ("retry: {transient: {attempts: 11}}", "must be a whole number from 0 to 10"),
        ("retry: {transient: {attempts: yes}}", "must be a whole number from 0 to 10"),
        ("retry: {transient: {backoff: 10m..30s}}", "like `30s..10m`"),
        ("retry: {transient: {backoff: 30}}", "like `30s..10m`"),
        ("retry: {transient: {backoff: 0s..1m}}", "like `30s..10m`"),
        ("retry: {transient: {backoff: 1m..7h}}", "like `30s..10m`"),
        ("retry: {worker_lost: {backoff: 30s..1m}}", "begins at once"),
        ("retry: {usage_limit: {attempts: 3}}", "like `{wait: 12h}`"),
        ("retry: {usage_limit: {wait: 8d}}", "like `{wait: 12h}`"),
        ("retry: {budget_usd: -1}", "must be US dollars"),
        ("auto_continue: 3", "must be two limits"),
        ("auto_continue: {max_turns: 3}", "needs both limits"),
        ("auto_continue: {max_turns: 0, budget_usd: 1}", "from 1 to 20"),
        ("auto_continue: {max_turns: 1, budget_usd: .inf}", "must be US dollars"),
        ("auto_continue: {max_turns: 1, budget_usd: 1, x: 2}", "has the unknown key `x`"),
        ("retry: {worker_lost: never}\non_worker_lost: resume", "contradicts `on_worker_lost`"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(line: str, problem: str) -> None:
    with pytest.raises(BadDefinition) as refused:
        definition(line)

    assert problem in refused.value.user_message


@given(VALUES)
def test_any_value_is_read_or_refused(value: object) -> None:
    told: list[str] = []
    for parse in (parse_retry, parse_auto_continue):
        try:
            parse(value)
        except InvalidRetry as refusal:
            told.append(str(refusal))
    assert all(told)


def test_the_installation_has_rules_of_its_own(tmp_path: Path) -> None:
    lines = '[agent]\nretry = {transient = {attempts = 1}, usage_limit = "never"}\n'
    (tmp_path / "signalbox.toml").write_text(lines)

    found = load_settings(SIGNALBOX_HOME=tmp_path).config.agent.retry

    assert found.rule(FailureClass.TRANSIENT).attempts == 1
    assert found.rule(FailureClass.OVERLOADED) == DEFAULT_POLICY.rule(FailureClass.OVERLOADED)
    assert found.longest_wait == timedelta(0)


def test_the_installation_can_switch_retries_off(tmp_path: Path) -> None:
    (tmp_path / "signalbox.toml").write_text('[agent]\nretry = "never"\n')

    assert load_settings(SIGNALBOX_HOME=tmp_path).config.agent.retry == NEVER.over(DEFAULT_POLICY)


def test_a_wrong_rule_of_the_installation_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "signalbox.toml").write_text("[agent]\nretry = 3\n")

    with pytest.raises(BadSetting) as refused:
        load_settings(SIGNALBOX_HOME=tmp_path)

    assert "agent.retry" in str(refused.value)
