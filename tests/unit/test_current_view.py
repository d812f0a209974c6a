"""The view of the machine is renewed while agents start, and no start waits for long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from core.agent.process.current_view import (
    FIRST_SEARCH_LIMIT,
    LATER_SEARCH_LIMIT,
    RENEWAL_INTERVAL,
    CurrentView,
)
from core.agent.process.system_view import SystemView

LONG = timedelta(minutes=5)


def view(*masked: str, notices: tuple[str, ...] = ()) -> SystemView:
    return SystemView(links=(), directories=(), masked=masked, notices=notices)


class Machine:
    """A machine that looks different each time; a look takes its time, or fails."""

    def __init__(self, *views: SystemView | Exception) -> None:
        self.views: Iterator[SystemView | Exception] = iter(views)
        self.limits: list[timedelta] = []
        self.now = 1000.0
        self.look_seconds = 0.0
        self.may_look = threading.Event()
        self.may_look.set()

    def find(self, *, limit: timedelta) -> SystemView:
        self.limits.append(limit)
        self.may_look.wait()
        self.now += self.look_seconds
        found = next(self.views)
        if isinstance(found, Exception):
            raise found
        return found

    def view(self, *, wait: timedelta = LONG) -> CurrentView:
        return CurrentView(self.find, wait=wait, clock=lambda: self.now)

    def pass_time(self, span: timedelta = RENEWAL_INTERVAL) -> None:
        self.now += span.total_seconds()


def test_a_start_sees_what_became_private_since_the_last_search() -> None:
    machine = Machine(view("/etc/a"), view("/etc/a", "/etc/b"))
    current = machine.view()

    assert current.renewed() == view("/etc/a")
    machine.pass_time()
    assert current.last == view("/etc/a")
    assert current.renewed() == view("/etc/a", "/etc/b")
    assert current.last == view("/etc/a", "/etc/b")
    assert machine.limits == [FIRST_SEARCH_LIMIT, LATER_SEARCH_LIMIT]


def test_where_a_search_takes_long_there_are_fewer() -> None:
    machine = Machine(view("/etc/a"), view("/etc/b"))
    machine.look_seconds = 30
    current = machine.view()

    machine.pass_time(timedelta(seconds=599))
    assert current.renewed() == view("/etc/a")
    machine.pass_time(timedelta(seconds=1))
    assert current.renewed() == view("/etc/b")


def test_a_first_search_that_was_not_finished_goes_on_at_the_first_start() -> None:
    current = Machine(view(notices=("not finished",)), view("/etc/a")).view()

    assert current.renewed() == view("/etc/a")


def test_a_start_does_not_wait_for_a_slow_search_and_a_later_one_has_its_result() -> None:
    machine = Machine(view("/etc/a"), view("/etc/b"))
    current = machine.view(wait=timedelta(milliseconds=1))
    machine.pass_time()
    machine.may_look.clear()

    assert current.renewed() == view("/etc/a")
    # Nor does this one begin another search.
    assert current.renewed() == view("/etc/a")

    machine.may_look.set()
    while current.renewed() == view("/etc/a"):
        pass
    assert current.renewed() == view("/etc/b")
    assert len(machine.limits) == 2


def test_a_search_that_fails_leaves_the_last_view(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(view("/etc/a"), OSError("broken"), view("/etc/b"))
    current = machine.view()

    machine.pass_time()
    assert current.renewed() == view("/etc/a")
    assert "cannot look up the machine" in caplog.text
    machine.pass_time()
    assert current.renewed() == view("/etc/b")


def test_a_notice_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    limited = view(notices=("not finished",))
    machine = Machine(limited, limited, view(), limited)
    current = machine.view()
    counts = []

    for _ in range(4):
        counts.append(sum(one.levelno == logging.WARNING for one in caplog.records))
        machine.pass_time()
        current.renewed()

    assert counts == [1, 1, 1, 2]
