"""The log page of a run with 100,000 lines: first paint, search, and how it scrolls in Chromium.

A real `signalbox bot` serves; the browser is a process of its own on the same machine.  The lines
have several heights: the agent's words, calls, outputs of several lines in colours, some of them
folded.  First paint is measured by the browser in new windows with empty caches; a search from its
key to its answer in the page; frames are counted in Chromium's trace while it scrolls itself, as
by a wheel, at several speeds.  A frame of the compositor can show lines that are not there yet, so
those of the main thread are counted, too, and how often a line in sight was still a placeholder.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from playwright.async_api import Browser, Page, async_playwright
from sqlalchemy import text

from benchmarks.api.console import open_console
from benchmarks.dashboard_pages import sign_in
from benchmarks.machine import chromium_program, machine_line
from benchmarks.results import heading, line, percentile
from benchmarks.seed.load import new_database, seed, seed_server
from bot.assembly.backend import utc_now
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.session import Session
from core.store.database.engine import open_database
from core.store.database.migrate import upgrade
from core.store.runs import run_queries, runs
from core.store.sessions import sessions

LINES = 100_000
_OTHER_RUNS = 1_000
_SCROLL_SECONDS = 4
_SPEEDS = (800, 3_000, 10_000)
_WIDTH, _HEIGHT = 1280, 800
# What only the main thread of a page does.
_MAIN_EVENTS = frozenset({"UpdateLayoutTree", "Layout", "FunctionCall"})
_TASK = "RunTask"
_READY = ".log[data-ready=yes]"
_WAITING = ".is-waiting"
_QUERIES = ("needle-7", "FAILED tests/", "number 99999", "nothing of this kind", "Äpfel")
_LINES_OF = """
    INSERT INTO run_events (run_id, attempt, kind, at, data)
    SELECT :run, 1,
        (ARRAY['agent_text', 'tool_started', 'tool_finished'])[1 + n % 3],
        now() + n * interval '200 ms',
        CASE n % 3
            WHEN 0 THEN jsonb_build_object(
                'text', 'I look at file number ' || n || repeat(', then at the next one', n % 9))
            WHEN 1 THEN jsonb_build_object(
                'id', 'call_' || n, 'name', 'Bash', 'summary', 'pytest -x tests/test_' || n)
            ELSE jsonb_build_object(
                'id', 'call_' || n, 'error', n % 50 = 2,
                'output', repeat(E'\\x1b[32mok\\x1b[0m tests/test_limits.py::test_number ' || n
                    || E'\\n', n % 20) || E'\\x1b[1;31mFAILED\\x1b[0m tests/ needle-' || n)
        END
    FROM generate_series(1, :lines) AS n
"""
_PAINT = """async () => {
  const ready = performance.now();
  while (!performance.getEntriesByName("first-contentful-paint").length) {
    await new Promise(requestAnimationFrame);
  }
  const [page] = performance.getEntriesByType("navigation");
  const files = performance.getEntriesByType("resource");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return {
    paint: paint.startTime,
    ready,
    bytes: page.transferSize + files.reduce((sum, one) => sum + one.transferSize, 0),
    rows: document.querySelectorAll(".ll").length,
  };
}"""
# Looks at each frame of the main thread whether a line in sight is a placeholder.
_WATCH = """() => {
  window.watched = { frames: 0, waiting: 0, bytes: 0 };
  const area = document.querySelector("[data-area]");
  const look = () => {
    const edge = area.getBoundingClientRect();
    window.watched.frames += 1;
    window.watched.waiting += [...area.querySelectorAll(".is-waiting")].some((row) => {
      const at = row.getBoundingClientRect();
      return at.bottom > edge.top && at.top < edge.bottom;
    });
    window.watching = requestAnimationFrame(look);
  };
  look();
}"""
_WATCHED = """() => {
  cancelAnimationFrame(window.watching);
  return { ...window.watched, top: document.querySelector("[data-area]").scrollTop };
}"""
_SEARCH = """async (text) => {
  const status = document.querySelector("[data-hits]");
  const field = document.querySelector("[data-search]");
  field.value = "";
  field.dispatchEvent(new Event("input"));
  while (status.textContent !== "") await new Promise(requestAnimationFrame);
  const began = performance.now();
  field.value = text;
  field.form.requestSubmit();
  while (["", "…"].includes(status.textContent)) await new Promise(requestAnimationFrame);
  return { ms: performance.now() - began, found: status.textContent };
}"""


async def measure(*, repetitions: int = 10) -> None:
    """Measure and print the results; `repetitions` is how often the page is loaded.

    Raises:
        RuntimeError: If there is no Chromium.
    """
    heading("log-page", f"the log of a run with {LINES:,} lines, in a browser")
    line("machine", machine_line())
    program = chromium_program()
    async with AsyncExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="signalbox-log-", ignore_cleanup_errors=True)
            )
        )
        server = await stack.enter_async_context(seed_server(folder / "postgres"))
        dsn = await new_database(server, "log")
        await asyncio.to_thread(upgrade, dsn)
        # The token of the console belongs to a person of the seed.
        await seed(dsn, runs=_OTHER_RUNS, report=lambda text: line("seeding", text.strip()))
        run = await _add_run(dsn)
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        stack.push_async_callback(browser.close)
        home = folder / "home"
        home.mkdir()
        console = await stack.enter_async_context(open_console(dsn, home))
        state = await sign_in(browser, console)
        address = f"{console.url}/runs/{run.run_id}/log"
        await _measure_loads(browser, state, address, repetitions)
        window = await browser.new_context(
            storage_state=state, viewport={"width": _WIDTH, "height": _HEIGHT}
        )
        page = await window.new_page()
        await page.goto(address)
        await page.locator(_READY).wait_for()
        await _measure_search(page)
        await page.goto("about:blank")
        await page.goto(address)
        await page.locator(_READY).wait_for()
        for speed in _SPEEDS:
            await _measure_scrolling(browser, page, speed)


async def _add_run(dsn: str) -> Run:
    """An ended run with its lines."""
    now, identity = utc_now(), uuid4()
    run_id = f"run_{identity.hex[:12]}"
    async with open_database(dsn, pool_size=2) as database:
        async with database.sessions.begin() as session:
            conversation = Session(id=uuid4(), agent_name="implement", created_at=now)
            await sessions.add(session, conversation)
            run = _new_run(identity, run_id, conversation.id, now)
            await runs.add(session, run)
            await runs.begin(session, run_id, attempt=1, worker_id="w1", now=now)
            await session.execute(text(_LINES_OF), {"run": identity, "lines": LINES})
            await runs.finish(session, run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=now)
        async with database.sessions.begin() as session:
            # As autovacuum does soon, which is off here.
            await session.execute(text("ANALYZE run_events"))
            return await run_queries.get(session, run_id)


def _new_run(identity: UUID, run_id: str, session_id: UUID, now: Any) -> Run:
    return Run(
        id=identity,
        run_id=run_id,
        workflow_name="implement",
        task_input="Add rate limiting",
        status=RunStatus.PENDING,
        created_at=now,
        updated_at=now,
        session_id=session_id,
        thread_key=run_id,
    )


async def _measure_loads(browser: Browser, state: Any, address: str, repetitions: int) -> None:
    found: list[Mapping[str, Any]] = []
    for _ in range(repetitions):
        window = await browser.new_context(
            storage_state=state, viewport={"width": _WIDTH, "height": _HEIGHT}
        )
        page = await window.new_page()
        await page.goto(address)
        await page.locator(_READY).wait_for()
        found.append(await page.evaluate(_PAINT))
        await window.close()
    for name, label in (("paint", "first paint"), ("ready", "first lines in the scroll area")):
        values = [float(one[name]) for one in found]
        line(label, f"p50 {percentile(values, 50):.0f} ms, p95 {percentile(values, 95):.0f} ms")
    line("loaded for that", f"{found[-1]['bytes'] / 1000:.0f} kB; {found[-1]['rows']} rows drawn")


async def _measure_search(page: Page) -> None:
    times: list[float] = []
    for query in _QUERIES:
        rounds = [await page.evaluate(_SEARCH, query) for _ in range(3)]
        times += [float(one["ms"]) for one in rounds]
        each = ", ".join(f"{one['ms']:.0f}" for one in rounds)
        line(f"search “{query}”", f"{each} ms: {rounds[-1]['found']}")
    line("searches", f"p50 {percentile(times, 50):.0f} ms, p95 {percentile(times, 95):.0f} ms")


async def _measure_scrolling(browser: Browser, page: Page, speed: int) -> None:
    await page.evaluate("document.querySelector('[data-area]').scrollTop = 200000")
    await page.locator(_WAITING).first.wait_for(state="detached")
    answers: list[int] = []
    page.on("response", lambda one: answers.append(int(one.headers.get("content-length", 0))))
    box = await page.locator("[data-area]").bounding_box()
    if box is None:
        raise RuntimeError("the scroll area is not shown")
    session = await page.context.new_cdp_session(page)
    categories = ["devtools.timeline", "devtools.timeline.frame", "toplevel",
                  "disabled-by-default-devtools.timeline",
                  "disabled-by-default-devtools.timeline.frame"]  # fmt: skip
    await browser.start_tracing(page=page, categories=categories)
    await page.evaluate(_WATCH)
    began = time.monotonic()
    await session.send(
        "Input.synthesizeScrollGesture",
        {
            "x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2,
            "yDistance": -speed * _SCROLL_SECONDS, "speed": speed,
            "gestureSourceType": "mouse", "preventFling": True,
        },
    )  # fmt: skip
    seconds = time.monotonic() - began
    watched = await page.evaluate(_WATCHED)
    trace = json.loads(await browser.stop_tracing())["traceEvents"]
    drawn, busy_ms = _frames(trace)
    line(
        f"scrolling at {speed:,} px a second",
        f"{drawn / seconds:.1f} frames a second drawn, {watched['frames'] / seconds:.1f} of the "
        f"main thread, {busy_ms / max(watched['frames'], 1):.1f} ms of the processor each; "
        f"placeholders in sight in "
        f"{watched['waiting'] / max(watched['frames'], 1):.1%} of them; {len(answers)} chunks, "
        f"{sum(answers) / 1000:.0f} kB; {seconds:.1f} s, to {watched['top']:,.0f} px",
    )
    await session.detach()


def _frames(trace: Sequence[Mapping[str, Any]]) -> tuple[int, float]:
    """How many frames a trace has, and the processor milliseconds of the page for all of them."""
    names = Counter(one["name"] for one in trace)
    main = {(one["pid"], one["tid"]) for one in trace if one["name"] in _MAIN_EVENTS}
    tasks = [
        float(one.get("tdur", one.get("dur", 0))) / 1000
        for one in trace
        if one["name"] == _TASK and (one["pid"], one["tid"]) in main
    ]
    return names["DrawFrame"], sum(tasks)
