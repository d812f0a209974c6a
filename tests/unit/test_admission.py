from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from bot.words import counts
from core.domain.fleet.admission import AdmissionRun, decide
from core.domain.fleet.workers import Caps, QueueReason
from core.services.fleet.admission import repository_key

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CAP = st.none() | st.integers(1, 4)


def make_admission_run(number: int, **fields: Any) -> AdmissionRun:
    values: dict[str, Any] = {
        "run_id": f"run_{number:03}",
        "is_admitted": False,
        "priority": 0,
        "attempt": 1,
        "created_at": NOW + timedelta(seconds=number),
        "user_id": None,
        "repository": None,
    }
    given = values | fields
    return AdmissionRun(**({"has_claim": given["attempt"] > 1} | given))


CONTENDERS = st.lists(
    st.fixed_dictionaries(
        {
            "is_admitted": st.booleans(),
            "priority": st.integers(-1, 1),
            "attempt": st.sampled_from((1, 1, 1, 2)),
            "has_claim": st.booleans(),
            "user_id": st.sampled_from((None, UUID(int=1), UUID(int=2), UUID(int=3))),
            "repository": st.sampled_from((None, "a", "b")),
        }
    ),
    max_size=25,
).map(lambda drawn: [make_admission_run(number, **fields) for number, fields in enumerate(drawn)])


@given(CONTENDERS, st.builds(Caps, fleet=CAP, repository=CAP, person=CAP))
def test_a_run_is_admitted_exactly_if_it_fits_the_caps(
    admission_runs: list[AdmissionRun], caps: Caps
) -> None:
    decision = decide(admission_runs, caps)

    waiting = {run.run_id: run for run in admission_runs if not run.is_admitted}
    assert {*decision.admitted, *decision.held} == set(waiting)
    assert not set(decision.admitted) & set(decision.held)
    live = [run for run in admission_runs if run.run_id not in decision.held]
    for run_id in decision.admitted:
        run = waiting[run_id]
        if run.has_claim:
            continue
        for reason in QueueReason:
            concerns = reason is QueueReason.FLEET or (
                run.user_id if reason is QueueReason.PERSON else run.repository
            )
            cap = caps.for_reason(reason)
            if cap is not None and concerns:
                assert _count(live, reason, run) <= cap
    for run_id, reason in decision.held.items():
        cap = caps.for_reason(reason)
        assert cap is not None
        assert _count(live, reason, waiting[run_id]) >= cap


def _count(live: list[AdmissionRun], reason: QueueReason, of: AdmissionRun) -> int:
    if reason is QueueReason.PERSON:
        return sum(run.user_id == of.user_id for run in live)
    if reason is QueueReason.REPOSITORY:
        return sum(run.repository == of.repository for run in live)
    return len(live)


def test_the_strictest_of_several_caps_is_named() -> None:
    ann = UUID(int=1)
    live = make_admission_run(1, is_admitted=True, user_id=ann, repository="a")
    caps = Caps(fleet=1, repository=1, person=1)

    decision = decide(
        [
            live,
            make_admission_run(2, user_id=ann, repository="a"),
            make_admission_run(3, repository="a"),
            make_admission_run(4),
        ],
        caps,
    )

    assert list(decision.held.values()) == [
        QueueReason.PERSON,
        QueueReason.REPOSITORY,
        QueueReason.FLEET,
    ]


def test_a_requeued_run_counts_before_it_is_admitted() -> None:
    again = make_admission_run(9, attempt=2)
    urgent = make_admission_run(1, priority=9)

    decision = decide([urgent, again], Caps(fleet=1))

    assert decision.admitted == (again.run_id,)
    assert decision.held == {urgent.run_id: QueueReason.FLEET}


@pytest.mark.parametrize(
    "named",
    [
        "https://github.com/acme/api",
        "https://GitHub.com/acme/api.git/",
        "https://ann@github.com/acme/api.git",
        "git@github.com:acme/api.git",
        "ssh://git@github.com/acme/api",
    ],
)
def test_a_repository_has_one_name_however_it_is_spelled(named: str) -> None:
    assert repository_key(named) == "github.com/acme/api"


def test_paths_of_repositories_have_one_name_too() -> None:
    assert repository_key("/srv/api/") == repository_key("file:///srv/api/.git") == "/srv/api"
    assert repository_key(None) is None
    assert repository_key("what is this") == "what is this"


def settings_with(home: Path, text: str) -> Any:
    (home / "signalbox.toml").write_text(text)
    return load_settings(SIGNALBOX_HOME=home).config.limits


def test_limits_are_read_and_may_be_left_out(tmp_path: Path) -> None:
    assert settings_with(tmp_path, "") is None
    assert settings_with(tmp_path, "[limits]\n").caps == Caps()
    found = settings_with(tmp_path, "[limits]\nlive = 6\nper_repository = 3\nper_person = 2\n")
    assert found.caps == Caps(fleet=6, repository=3, person=2)


@pytest.mark.parametrize("wrong", ["live = 0", "per_person = 1.5", 'live = "x"', "lives = 3"])
def test_an_invalid_limit_is_named(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(BadSetting) as refused:
        settings_with(tmp_path, f"[limits]\n{wrong}\n")

    assert f"limits.{wrong.split(maxsplit=1)[0]}" in refused.value.user_message


def test_queue_positions_are_ordinals() -> None:
    ordinals = [counts.ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 1002)]

    assert ordinals == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th", "1,002nd",
    ]  # fmt: skip
