"""The page of a run's changes, and the lines that its script loads, over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.domain.actor import Role
from core.domain.runs.run import Run, StopReason
from core.domain.runs.work.diff import DiffStat
from core.domain.runs.work.patch import WorkPatch
from core.store import patches
from core.store.runs import runs
from tests.api import ApiHarness, Reply
from tests.database import NOW, running_run
from tests.diff_rows import LARGE_LINES, changed_run


@pytest.fixture
async def token(api: ApiHarness) -> str:
    return await api.token(role=Role.VIEWER)


async def get(api: ApiHarness, run: Run, token: str | None, path: str = "") -> Reply:
    return await api.call("GET", f"http://{api.host}/runs/{run.run_id}/diff{path}", token)


async def test_the_page_has_the_files_their_lines_and_the_commits(
    api: ApiHarness, token: str, tmp_path: Path
) -> None:
    run = await changed_run(api.database, tmp_path)

    page = await get(api, run, token)

    assert page.status == 200
    text = page.text
    assert "7 files" not in text  # the number stands in an element of its own
    assert re.search(r"<strong>7</strong>\s*files", text)
    for words in ("renamed", "deleted", "added", "A binary file.", "is 100755", "not committed"):
        assert words in text, words
    assert "x + 7<mark>" not in text
    assert re.search(r"<mark><span class=\"mi\">70</span></mark>", text)
    assert "U+202E" in text
    assert "<script>alert" not in text
    assert "Raise the &lt;b&gt;limit&lt;/b&gt;" in text
    assert re.search(r'href="https://github\.com/acme/api/commit/[0-9a-f]{40}"', text)
    assert f"Show {LARGE_LINES + 1:,} lines".replace(",", "\u202f") in text
    assert "row 7<" not in text
    assert " style=" not in text
    # It has ended, so nothing of it is sent again.
    assert "data-live=" not in text


async def test_large_files_are_loaded_in_pieces(
    api: ApiHarness, token: str, tmp_path: Path
) -> None:
    run = await changed_run(api.database, tmp_path)
    page = await get(api, run, token)
    (address,) = re.findall(r'data-load="[^"]*(/files/\d+\?[^"]*)"', page.text)
    address = address.replace("&amp;", "&")

    first = await get(api, run, token, address)
    (rest,) = re.findall(r'href="[^"]*(/files/\d+\?[^"]*)" data-load', first.text)
    last = await get(api, run, token, rest.replace("&amp;", "&"))
    unnamed = await get(api, run, token, address.partition("?")[0])

    assert first.headers["Cache-Control"] == "private, max-age=600, immutable"
    assert unnamed.headers["Cache-Control"] == "no-store"
    assert "row 999<" in first.text
    assert "row 1000<" not in first.text
    assert f"row {LARGE_LINES - 1}<" in last.text
    assert "data-load" not in last.text
    opened = await get(api, run, token, f"?open={re.findall(r'/files/([0-9]+)', address)[0]}")
    assert "row 999<" in opened.text


async def test_two_columns_have_the_same_lines(api: ApiHarness, token: str, tmp_path: Path) -> None:
    run = await changed_run(api.database, tmp_path)

    page = await get(api, run, token, "?view=split")

    assert 'class="dt split"' in page.text
    assert "return" in page.text


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        (None, "is not known"),
        (DiffStat(), "Nothing was changed"),
    ],
)
async def test_a_run_without_changes_says_why(
    api: ApiHarness, token: str, diff: DiffStat | None, words: str
) -> None:
    run = await running_run(api.database)
    live = await get(api, run, token)
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW, diff=diff
        )

    ended = await get(api, run, token)

    assert "measured when the run ends" in live.text
    assert "data-live=" in live.text
    assert words in ended.text


async def test_a_run_whose_lines_were_not_kept_shows_its_numbers(
    api: ApiHarness, token: str, tmp_path: Path
) -> None:
    run = await changed_run(api.database, tmp_path, keeps_lines=False, source="/srv/git/api")

    page = await get(api, run, token)

    assert "were not kept" in page.text
    assert "src/limits.py" in page.text
    assert "/commit/" not in page.text


@pytest.mark.parametrize(
    "text",
    [
        "no patch at all",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,99 +1 @@\n x\n",
        "diff --git a/x b/x\n@@ garbage <script>alert(1)</script>\n",
        "diff --git \n\n\n",
        'diff --git "a/\\" "b\n--- "a/\\\n+++ "b\n@@ -1 +1 @@\n-a\n+b\n',
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-" + "y" * 1_000_000 + "\n+z\n",
    ],
)  # fmt: skip
async def test_a_malformed_patch_is_harmless(api: ApiHarness, token: str, text: str) -> None:
    run = await running_run(api.database)
    async with api.database.sessions.begin() as session:
        await runs.finish(
            session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW, diff=DiffStat()
        )
        await patches.put(session, run.id, WorkPatch(text=text, is_cut=True), now=NOW)

    page = await get(api, run, token)

    assert page.status == 200
    assert "<script>alert" not in page.text
    assert len(page.text) < 100_000


async def test_addresses_are_checked(api: ApiHarness, token: str) -> None:
    run = await running_run(api.database)

    assert (await get(api, run, token, "/files/0")).status == 404
    for path in ("/files/-1", "/files/x", "/files/99999999", "?view=three", "?open=-1"):
        assert (await get(api, run, token, path)).status == 400, path
    assert (await get(api, run, None)).status == 401
    assert (await get(api, run, None, "/files/0")).status == 401
