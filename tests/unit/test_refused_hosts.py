"""What a run keeps of refused hosts, and the words about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.slack.views.lists import status_message
from bot.slack.views.thread.result import result_message
from bot.words.markup import PLAIN
from bot.words.runs.refused_hosts import refused_hosts_line
from core.domain.runs.activity.refused_hosts import REFUSED_HOSTS_KEY, RefusedHosts
from core.domain.runs.event import EventKind, HostRefused
from core.domain.runs.run import Run, StopReason
from core.runner.execution.progress import Progress
from core.runner.execution.usage.prior_usage import PriorUsage
from tests.unit.view_helpers import NOW, make_ended_run, make_run, make_snapshot, text_of

AT = datetime(2026, 5, 4, tzinfo=UTC)
PYPI = HostRefused(host="pypi.org", port=443)
EVIL = HostRefused(host="evil.test", port=8443)


def run_with(*refused: HostRefused, run: Run | None = None) -> Run:
    metadata = {REFUSED_HOSTS_KEY: RefusedHosts(refused).to_json()}
    return replace(run or make_run(), metadata=metadata)


def test_a_refused_host_is_one_event_row_and_its_final_count_none() -> None:
    progress = Progress(model=None)

    progress.add_event(PYPI, at=AT)
    progress.add_event(replace(PYPI, count=31), at=AT)

    rows = [(row.kind, row.data["host"], row.data["port"]) for row in progress.drain()]
    assert rows == [(EventKind.HOST_REFUSED, "pypi.org", 443)]
    stored = progress.columns()["metadata"][REFUSED_HOSTS_KEY]
    assert stored == [{"host": "pypi.org", "port": 443, "count": 31, "address": None}]


def test_a_run_without_refusals_has_no_metadata_about_them() -> None:
    assert "metadata" not in Progress(model=None).columns()


def test_the_refusals_of_earlier_attempts_are_kept_and_added() -> None:
    earlier = run_with(replace(PYPI, count=2), EVIL)
    progress = Progress(model=None, prior_usage=PriorUsage.of_run(earlier))

    progress.add_event(PYPI, at=AT)
    progress.add_event(replace(PYPI, count=3), at=AT)

    assert progress.refused_hosts == RefusedHosts((replace(PYPI, count=5), EVIL))


def test_at_most_fifty_hosts_of_all_attempts_are_named() -> None:
    def hosts(prefix: str, count: int) -> RefusedHosts:
        return RefusedHosts(
            tuple(HostRefused(host=f"{prefix}{n}.test", port=443) for n in range(count))
        )

    total = hosts("a", 40) + hosts("b", 15)

    assert len(total.hosts) == 51
    assert total.hosts[-1] == HostRefused(host=None, port=None, count=5)
    assert (total + RefusedHosts((HostRefused(count=7),))).hosts[-1].count == 12


@pytest.mark.parametrize(
    "stored", [None, "pypi.org", {}, ["pypi.org", 3, None, {"host": 3}, {"host": "a", "port": "b"}]]
)
def test_metadata_of_an_unknown_shape_is_no_refusal(stored: object) -> None:
    run = replace(make_run(), metadata={REFUSED_HOSTS_KEY: stored})

    assert RefusedHosts.of_run(run) == RefusedHosts()
    assert refused_hosts_line(run, PLAIN) == ""


def test_the_line_names_the_hosts_and_what_to_do() -> None:
    line = refused_hosts_line(run_with(PYPI, replace(PYPI, port=80), EVIL), PLAIN)

    assert line.startswith("🚫 2 hosts were refused: pypi.org, evil.test:8443. ")
    assert "ask an administrator to add it to network" in line


def test_one_host_is_told_in_the_singular() -> None:
    assert "1 host was refused: pypi.org." in refused_hosts_line(run_with(PYPI), PLAIN)


def test_many_hosts_are_shortened_and_many_refusals_counted() -> None:
    many = [HostRefused(host=f"h{n}.test", port=443) for n in range(12)]

    line = refused_hosts_line(
        run_with(replace(many[0], count=1234), *many[1:], HostRefused(count=5)), PLAIN
    )

    assert "12 hosts and others were refused: h0.test (1,234 times), h1.test," in line
    assert "h7.test, 4 more." in line


def test_a_name_that_leads_to_the_worker_is_told_with_its_address() -> None:
    line = refused_hosts_line(run_with(replace(PYPI, address="127.0.0.1")), PLAIN)

    assert "pypi.org (its name leads to 127.0.0.1)" in line
    assert "list the address" in line


@pytest.mark.parametrize(
    "reason", [StopReason.SUCCESS, StopReason.KILLED, StopReason.MAX_TURNS, StopReason.TIMEOUT]
)
def test_the_report_and_the_status_name_what_was_refused(reason: StopReason) -> None:
    snapshot = make_snapshot(run_with(PYPI, EVIL, run=make_ended_run(reason)))

    report, status = result_message(snapshot), status_message(snapshot, now=NOW)

    assert report is not None
    for shown in (text_of(report), text_of(status)):
        assert "2 hosts were refused:* `pypi.org`, `evil.test:8443`" in shown


def test_the_status_of_a_live_run_names_what_was_refused() -> None:
    shown = text_of(status_message(make_snapshot(run_with(PYPI)), now=NOW))

    assert "1 host was refused:* `pypi.org`" in shown
