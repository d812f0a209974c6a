"""The timeline of a session's runs: legs, attempts, steps and tool calls, drawn to scale.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bot.web.dashboard.run.call_blocks import (
    CallBlock,
    CallTotals,
    blocks,
    families,
    totals,
)
from bot.web.dashboard.run.scale import Break, Tick, TimeScale
from bot.web.dashboard.run.step_tones import step_state
from bot.web.dashboard.shown_texts import shown_line
from bot.web.dashboard.tones import tone_of
from bot.words import counts
from bot.words.markup import PLAIN
from bot.words.runs.states import state_words
from bot.words.times import duration
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot
from core.domain.runs.step import Step
from core.domain.runs.tool_call import ToolCall
from core.services.runs.whole_runs import LegTrace, WholeRun

# Below it a bar cannot be seen.
_LEAST_WIDTH = 0.4
# More steps share one lane.
_MOST_STEP_LANES = 16
_NAME_CHARS = 80
# A live run is drawn up to a time that moves in steps, so that a page does not change all the time.
_STEP = timedelta(seconds=10)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A time in a lane.

    Attributes:
        tone: The look, a name of a class.
        href: Where it leads; empty for nowhere.
        label: What it is, in words.
    """

    x: float
    width: float
    tone: str
    label: str
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A row of the timeline.

    Attributes:
        note: A few words beside the name: how long, how many.
    """

    name: str
    note: str = ""
    tone: str = ""
    bars: Sequence[Bar] = ()
    blocks: Sequence[CallBlock] = ()


@dataclass(frozen=True, kw_only=True)
class TimelineRow:
    """A row of the table with the same facts.

    Attributes:
        began_at: `None` if it has not.
        took: Empty if it has not ended.
        calls: The number of tool calls; `None` if it is not counted.
    """

    name: str
    began_at: datetime | None
    took: str
    calls: int | None
    state: str
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """What is drawn, and the table behind it.

    Attributes:
        lead: The same in one sentence.
        calls_left_out: Tool calls that are not drawn because there are very many.
    """

    lead: str
    ticks: Sequence[Tick]
    breaks: Sequence[Break]
    plan: Sequence[Lane]
    calls: Sequence[Lane]
    rows: Sequence[TimelineRow]
    tools: Sequence[CallTotals]
    calls_left_out: int


def timeline(whole: WholeRun, *, now: datetime) -> Timeline | None:
    """The timeline of a run's session, as far as it is near; `None` if nothing has begun."""
    until = _EPOCH + -(-(now - _EPOCH) // _STEP) * _STEP
    traces = [trace for trace in whole.traces if trace.run.started_at is not None]
    scale = TimeScale.over(
        (trace.run.started_at, _end(trace.run, until))
        for trace in traces
        if trace.run.started_at is not None
    )
    if scale is None:
        return None
    drawing = _Drawing(scale, until, whole.run)
    calls = [call for trace in traces for call in trace.calls]
    return Timeline(
        lead=_lead(traces, calls),
        ticks=scale.ticks(),
        breaks=scale.breaks(),
        plan=[*drawing.leg_lanes(traces), *drawing.step_lanes(traces)],
        calls=drawing.call_lanes(traces),
        rows=drawing.rows(traces),
        tools=totals(calls),
        calls_left_out=sum(max(trace.run.tool_calls - len(trace.calls), 0) for trace in traces),
    )


@dataclass(frozen=True)
class _Drawing:
    """Makes the lanes on one scale.

    Attributes:
        until: Until when what has not ended is drawn.
        run: The run of the page.
    """

    scale: TimeScale
    until: datetime
    run: Run

    def leg_lanes(self, traces: Sequence[LegTrace]) -> list[Lane]:
        """The runs, and their attempts if one of them has several."""
        lanes = []
        if len(traces) > 1:
            bars = [
                self._bar(
                    trace.run.started_at,
                    _end(trace.run, self.until),
                    tone=tone_of(trace.run).value,
                    label=f"Leg {trace.number}: {_leg_state(trace)}",
                    href="" if trace.run.id == self.run.id else f"/runs/{trace.run.run_id}",
                )
                for trace in traces
            ]
            lanes.append(Lane(name="Legs", note=f"{len(traces)}", bars=_seen(bars)))
        if any(len(trace.attempts) > 1 for trace in traces):
            bars = [
                self._bar(
                    one.started_at,
                    min(one.ended_at or self.until, _end(trace.run, self.until)),
                    tone="running" if one.ended_at is None else "queued",
                    label=f"Attempt {one.attempt} of leg {trace.number}",
                )
                for trace in traces
                for one in trace.attempts
            ]
            lanes.append(Lane(name="Attempts", note=f"{len(bars)}", bars=_seen(bars)))
        return lanes

    def step_lanes(self, traces: Sequence[LegTrace]) -> list[Lane]:
        """A lane for each step, or one for all of them if there are many."""
        worked: defaultdict[int, list[tuple[Step, LegTrace]]] = defaultdict(list)
        for trace in traces:
            for step in trace.steps:
                if step.started_at is not None:
                    worked[step.step_id].append((step, trace))
        lanes = []
        for step_id in sorted(worked):
            newest, _ = worked[step_id][-1]
            state = step_state(newest)
            bars = [self._step_bar(step, trace) for step, trace in worked[step_id]]
            name = shown_line(newest.name, _NAME_CHARS) or f"Step {step_id}"
            note = "" if newest.duration is None else duration(newest.duration)
            lanes.append(Lane(name=name, note=note, tone=state.tone, bars=_seen(bars)))
        if len(lanes) <= _MOST_STEP_LANES:
            return lanes
        all_bars = [bar for lane in lanes for bar in lane.bars]
        return [Lane(name="Steps", note=f"{len(lanes)}", bars=all_bars)]

    def call_lanes(self, traces: Sequence[LegTrace]) -> list[Lane]:
        """A lane for the tools of each family."""
        ends = {trace.run.id: _end(trace.run, self.until) for trace in traces}
        found = families([call for trace in traces for call in trace.calls])
        return [
            Lane(
                name=name,
                note=f"{len(calls)}",
                blocks=blocks(
                    calls,
                    place=self.scale.place,
                    end_of=lambda call: call.ended_at or _cut_off(call, ends),
                ),
            )
            for name, calls in found.items()
        ]

    def rows(self, traces: Sequence[LegTrace]) -> list[TimelineRow]:
        """The table: each leg with its attempts and its steps."""
        rows = []
        for trace in traces:
            run = trace.run
            rows.append(
                TimelineRow(
                    name=f"Leg {trace.number}",
                    began_at=run.started_at,
                    took="" if run.duration is None else duration(run.duration),
                    calls=run.tool_calls,
                    state=_leg_state(trace),
                    href=f"/runs/{run.run_id}",
                )
            )
            if len(trace.attempts) > 1:
                rows += [
                    TimelineRow(
                        name=f"Attempt {one.attempt}",
                        began_at=one.started_at,
                        took=""
                        if one.ended_at is None
                        else duration(one.ended_at - one.started_at),
                        calls=None,
                        state="running" if one.ended_at is None else "ended",
                    )
                    for one in trace.attempts
                ]
            rows += [
                TimelineRow(
                    name=shown_line(step.name, _NAME_CHARS) or f"Step {step.step_id}",
                    began_at=step.started_at,
                    took="" if step.duration is None else duration(step.duration),
                    calls=step.tool_calls,
                    state=step_state(step).words,
                )
                for step in trace.steps
                if step.started_at is not None
            ]
        return rows

    def _step_bar(self, step: Step, trace: LegTrace) -> Bar | None:
        state = step_state(step)
        end = step.completed_at or _end(trace.run, self.until)
        took = "" if step.duration is None else f", {duration(step.duration)}"
        name = shown_line(step.name, _NAME_CHARS) or f"Step {step.step_id}"
        return self._bar(
            step.started_at, end, tone=state.tone, label=f"{name}: {state.words}{took}"
        )

    def _bar(
        self, start: datetime | None, end: datetime, *, tone: str, label: str, href: str = ""
    ) -> Bar | None:
        if start is None:
            return None
        x = self.scale.place(start)
        width = max(round(self.scale.place(max(end, start)) - x, 2), _LEAST_WIDTH)
        return Bar(x=min(x, 100 - width), width=width, tone=tone, label=label, href=href)


def _seen(bars: Sequence[Bar | None]) -> list[Bar]:
    return [bar for bar in bars if bar is not None]


def _end(run: Run, until: datetime) -> datetime:
    """Until when a run is drawn."""
    return until if run.is_live else run.completed_at or run.updated_at


def _cut_off(call: ToolCall, ends: dict[UUID, datetime]) -> datetime:
    return max(ends[call.run_id], call.started_at)


def _leg_state(trace: LegTrace) -> str:
    return state_words(RunSnapshot(run=trace.run), PLAIN)


def _lead(traces: Sequence[LegTrace], calls: Sequence[ToolCall]) -> str:
    worked = sum(
        ((trace.run.duration or timedelta(0)) for trace in traces),
        timedelta(0),
    )
    parts = []
    if len(traces) > 1:
        parts.append(counts.plural(len(traces), "leg"))
    steps = {step.step_id for trace in traces for step in trace.steps}
    if steps:
        parts.append(counts.plural(len(steps), "step"))
    parts.append(counts.plural(len(calls), "tool call"))
    took = f", {duration(worked)} of work" if worked else ""
    return f"{', '.join(parts)}{took}."
