"""The page of one run: all that is known of it, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.web.api.alerts.answers import alert_answer
from bot.web.api.failures.failure_answers import failure_answer
from bot.web.api.run_checkpoints import checkpoint_answer
from bot.web.api.statuses.run_status import USUAL_QUERY
from bot.web.api.statuses.status_answer import status_fields
from bot.web.api.table import ApiServices
from bot.web.api.values import RunPath
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.dashboard.run.conversation import conversation
from bot.web.dashboard.run.facts import run_facts
from bot.web.dashboard.run.head import run_head
from bot.web.dashboard.run.kill_rows import kill_rows
from bot.web.dashboard.run.outcome import outcome
from bot.web.dashboard.run.run_acts import run_acts
from bot.web.dashboard.run.timeline import timeline
from bot.web.dashboard.shown_texts import shown_line
from bot.web.route import LenientParameters
from bot.words.markup import PLAIN
from bot.words.runs.notices import notice_lines
from bot.words.runs.work.checkpoints import NOT_STORED, REASONS
from core.domain.feed import ChangeKind
from core.domain.runs.checkpoint import PROBLEM_KEY
from core.services.runs.status import StatusReport
from core.services.runs.whole_runs import MAX_LEGS, WholeRun

_TITLE_CHARS = 70


class RunQuery(LenientParameters):
    """The page of a run has no parameters."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part of the page.

    Attributes:
        label: What the bar of the page calls it; empty if the bar does not lead to it.
        count: How many things it shows; 0 if that is not said.
    """

    section: Section
    label: str
    count: int


@dataclass(frozen=True)
class RunPage:
    """Shows one run."""

    services: ApiServices

    async def load(self, call: PageCall[RunPath, RunQuery]) -> Content:
        """All that is known of a run."""
        services = self.services
        whole = await services.whole_runs.read(call.path.run_id, by=call.actor)
        report = await services.statuses.status(whole.run.run_id, by=call.actor)
        now = services.clock()
        first, *others = _parts(whole, report, now=now)
        anchors = [part for part in others if part.label]
        run = whole.run
        task = shown_line(whole.snapshot.about or run.task_input, _TITLE_CHARS) or run.run_id
        return Content(
            title=f"{run_head(whole.snapshot, now=now).title}: {task}",
            sections=(
                first.section,
                Section(name="parts", template="run/parts.html", values={"anchors": anchors}),
                *(part.section for part in others),
            ),
            owners=frozenset({run.user_id} if run.user_id is not None else ()),
            # A run that has ended can be continued or restarted, and there can be alerts about it:
            # it is never final.
            subjects=frozenset(
                {run.run_id, whole.newest.run_id, *(str(alert.id) for alert in whole.alerts)}
            ),
        )

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/runs/{run_id}",
                name="run",
                nav="runs",
                path_parameters=RunPath,
                query=RunQuery,
                load=self.load,
                changes=frozenset({ChangeKind.RUN, ChangeKind.ALERT}),
            )
        ]


def _parts(whole: WholeRun, report: StatusReport, *, now: datetime) -> Iterator[_Part]:
    """The parts of the page in their order; all are there, also those that are empty as yet."""
    run, snapshot = whole.run, whole.snapshot
    status = status_fields(report, USUAL_QUERY, now=now)
    common = {"run": run, "whole": whole, "status": status, "acts": run_acts(whole)}
    yield _part("head", {**common, "head": run_head(snapshot, now=now)})
    alerts = [alert_answer(one, now) for one in whole.alerts]
    open_count = sum(one.is_open for one in alerts)
    yield _part("alerts", {"alerts": alerts}, "Alerts" if alerts else "", open_count)
    drawn = timeline(whole, now=now)
    omitted = max(whole.leg_count - MAX_LEGS, 0)
    yield _part(
        "timeline",
        {"timeline": drawn, "omitted_legs": omitted},
        "" if drawn is None else "Timeline",
    )
    label = "Progress" if run.is_live else "Result"
    yield _part("overview", {**common, "outcome": outcome(run)}, label)
    said = conversation(whole)
    yield _part("messages", {**common, "said": said}, "Messages", len(said))
    yield _checkpoints(whole, common)
    kills = kill_rows(snapshot, whole.terminations)
    yield _part("terminations", {"kills": kills}, "Kills" if kills else "", len(kills))
    failures = [failure_answer(one) for one in whole.failures]
    label = "Failures" if failures else ""
    yield _part("failures", {"failures": failures}, label, len(failures))
    graph = () if whole.graph is None else whole.graph.samples
    label = "" if whole.usage is None else "Resources"
    yield _part("resources", {"usage": whole.usage, "samples": graph}, label)
    notices = notice_lines(snapshot, PLAIN)
    yield _part("notices", {"notices": notices}, "Notices" if notices else "", len(notices))
    yield _part("facts", {"facts": run_facts(whole)})
    yield _part("dialogs", common)


def _checkpoints(whole: WholeRun, common: Mapping[str, Any]) -> _Part:
    found = [checkpoint_answer(one) for one in whole.snapshot.checkpoints]
    problem = whole.run.metadata.get(PROBLEM_KEY)
    words = problem if isinstance(problem, str) else ""
    values = {
        **common,
        "checkpoints": found,
        "problem": words,
        "reasons": REASONS,
        "not_stored": NOT_STORED,
    }
    label = "Checkpoints" if found or words else ""
    return _part("checkpoints", values, label, len(found))


def _part(name: str, values: Mapping[str, Any], label: str = "", count: int = 0) -> _Part:
    section = Section(name=name, template=f"run/{name}.html", values=values)
    return _Part(section=section, label=label, count=count)
