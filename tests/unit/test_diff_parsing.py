"""Patches as git writes them, and as nobody should: their files, lines and words."""

from __future__ import annotations

import re
import subprocess
import time
from html import unescape
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup

from bot.web.dashboard.diff.colouring import Clock, coloured, lexer_for
from bot.web.dashboard.diff.entries import FileEntry, file_entries
from bot.web.dashboard.diff.hunks import DiffLine, Sign, read_hunks
from bot.web.dashboard.diff.patch_files import FileStatus, PatchFile, patch_files
from bot.web.dashboard.diff.shown_lines import (
    LINES_AT_A_TIME,
    DiffView,
    code_html,
    shown_file,
)
from bot.web.dashboard.diff.word_marks import Budget, differences, marked
from bot.web.dashboard.log.colours import contrast
from bot.web.dashboard.static_files import static_files
from core.domain.runs.work.diff import DiffStat, FileChange
from core.domain.runs.work.patch import files_of, without_torn_end
from tests.unit.repositories import git

ODD_NAMES = [
    "a b.txt",
    'quo"te.txt',
    "tab\there.txt",
    "größe 世界.txt",
    "b/a/b/a",
    "-dash",
    "x -> y",
]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def patch_of(repository: Path, *options: str) -> str:
    """What is staged, as a patch with the options of the worker."""
    git(repository, "add", "-A")
    done = subprocess.run(
        ["git", "-c", "core.quotePath=false", "diff", "--cached", "-M", "--full-index", *options],
        cwd=repository, check=True, capture_output=True,
    )  # fmt: skip
    return done.stdout.decode(errors="replace")


def by_path(text: str) -> dict[str, PatchFile]:
    return {one.path: one for one in patch_files(text)}


def test_each_status_is_read_from_real_patches(repository: Path) -> None:
    (repository / "changed.py").write_text("a\nb\nc\n")
    (repository / "moved.txt").write_text("".join(f"line {n}\n" for n in range(40)))
    (repository / "gone.txt").write_text("1\n2\n")
    (repository / "logo.png").write_bytes(bytes(range(256)))
    (repository / "run.sh").write_text("#!/bin/sh\n")
    (repository / "link").symlink_to("changed.py")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Begin")
    (repository / "changed.py").write_text("a\nB\nc\nd\n")
    (repository / "moved.txt").rename(repository / "new name.txt")
    (repository / "new name.txt").write_text("".join(f"line {n}\n" for n in range(1, 40)))
    (repository / "gone.txt").unlink()
    (repository / "logo.png").write_bytes(bytes(reversed(range(256))))
    (repository / "run.sh").chmod(0o755)
    (repository / "link").unlink()
    (repository / "link").symlink_to("gone.txt")
    (repository / "empty").touch()
    (repository / "added.txt").write_text("x\n+y\n-z\n")

    files = by_path(patch_of(repository))

    assert {path: one.status for path, one in files.items()} == {
        "changed.py": FileStatus.MODIFIED,
        "new name.txt": FileStatus.RENAMED,
        "gone.txt": FileStatus.DELETED,
        "logo.png": FileStatus.MODIFIED,
        "run.sh": FileStatus.MODE,
        "link": FileStatus.MODIFIED,
        "empty": FileStatus.ADDED,
        "added.txt": FileStatus.ADDED,
    }
    moved = files["new name.txt"]
    assert (moved.old_path, moved.added, moved.removed) == ("moved.txt", 0, 1)
    assert moved.similarity is not None
    assert 90 < moved.similarity < 100
    assert files["logo.png"].is_binary
    assert (files["run.sh"].old_mode, files["run.sh"].new_mode) == ("100644", "100755")
    assert (files["added.txt"].added, files["gone.txt"].removed) == (3, 2)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_read_as_they_are(repository: Path, name: str) -> None:
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1\n")
    (added,) = patch_files(patch_of(repository))
    git(repository, "commit", "-qm", "Begin")
    path.chmod(0o755)
    (changed,) = patch_files(patch_of(repository))
    git(repository, "commit", "-qm", "Mode")
    git(repository, "mv", "--", name, "elsewhere.txt")
    (moved,) = patch_files(patch_of(repository))

    assert (added.path, changed.path, moved.old_path) == (name, name, name)
    assert moved.path == "elsewhere.txt"


@pytest.mark.parametrize("seed", range(5))
def test_the_lines_of_real_patches_make_both_files(repository: Path, seed: int) -> None:
    from random import Random

    random = Random(seed)
    odd = ["", "x", "\f", "\u2028", "\x1b[31m", "\r", "-- a", "++ b", "@@ -1 +1 @@", "diff --git a"]
    old = [random.choice(odd) + str(random.randrange(9)) for _ in range(200)]
    new = [line for line in old if random.random() > 0.1]
    for _ in range(20):
        new.insert(random.randrange(len(new)), random.choice(odd) + "new")
    ends = random.choice(["", "\n"]), random.choice(["", "\n"])
    file = repository / "file.txt"
    file.write_bytes(("\n".join(old) + ends[0]).encode())
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Begin")
    file.write_bytes(("\n".join(new) + ends[1]).encode())

    (found,) = patch_files(patch_of(repository, "-U9999"))
    (hunk,) = read_hunks(found.body).hunks

    assert [line.text for line in hunk.lines if line.new is None or line.old] == old
    assert [line.text for line in hunk.lines if line.old is None or line.new] == new
    assert [line.old for line in hunk.lines if line.old] == list(range(1, len(old) + 1))
    assert [line.new for line in hunk.lines if line.new] == list(range(1, len(new) + 1))
    last = [line for line in hunk.lines if not line.has_newline]
    assert bool(last) == ("" in ends)


@given(st.text(st.sampled_from(list("@ -+,1ab\n\\d ")), max_size=200))
@example("@@ -1,99 +1 @@\n x\n")
@example("@@ -1 +1 @@\n")
@example("@@ -0,0 +1,2 @@\n+x\n@@")
@example("@@ -1,2 +1,2 @@\n\\ No newline at end of file\n")
def test_a_malformed_patch_is_shown_as_it_is(body: str) -> None:
    shown = shown_file(PatchFile(path="x.py", body=f"@@ {body}"), DiffView.SPLIT)

    assert shown.raw is not None or shown.hunks or shown.left == 0
    patch_files(f"diff --git {body}")
    patch_files(body)


def test_bytes_that_are_no_text_are_harmless(repository: Path) -> None:
    (repository / "latin.txt").write_bytes("Grüße\n".encode("latin-1"))
    (found,) = patch_files(patch_of(repository, "--text"))

    (hunk,) = shown_file(found, DiffView.UNIFIED).hunks

    assert hunk.lines[0].html == "Gr\ufffd\ufffde"


# Words.


def apart(text: str, ranges: list[tuple[int, int]]) -> str:
    """What is not marked."""
    kept, at = [], 0
    for start, end in ranges:
        kept.append(text[at:start])
        at = end
    return "".join([*kept, text[at:]])


@given(
    st.text(st.sampled_from("ab .(x"), max_size=60), st.text(st.sampled_from("ab .(x"), max_size=60)
)
@example("self.viewers += 1", "self.viewers = self.viewers + 1")
def test_what_is_not_marked_is_the_same_in_both_lines(old: str, new: str) -> None:
    found = differences(old, new)

    if found is not None:
        olds, news = found
        assert apart(old, olds) == apart(new, news)
        for text, ranges in ((old, olds), (new, news)):
            flat = [edge for one in ranges for edge in one]
            assert flat == sorted(flat)
            assert all(0 <= start < end <= len(text) for start, end in ranges)
            assert len(set(flat)) == len(flat)


def test_words_of_alike_lines_are_marked_and_other_lines_are_not() -> None:
    assert differences("limit = 10", "limit = 25") == ([(8, 10)], [(8, 10)])
    assert differences("return None", "raise LookupError(key)") is None
    assert differences("", "x") is None
    assert differences("x" * 2_000, "x" * 2_000 + "y") is None


def test_only_lines_that_took_a_place_are_compared() -> None:
    lines = [
        DiffLine(Sign.SAME, "a = 0"), DiffLine(Sign.REMOVED, "b = 1"), DiffLine(Sign.REMOVED, "c"),
        DiffLine(Sign.ADDED, "b = 2"), DiffLine(Sign.SAME, "d"), DiffLine(Sign.ADDED, "d = 9"),
    ]  # fmt: skip

    assert marked(lines, Budget()) == {1: [(4, 5)], 3: [(4, 5)]}


def test_comparing_is_bounded() -> None:
    removed = [DiffLine(Sign.REMOVED, f"{'a b ' * 45}{n}") for n in range(60)]
    added = [DiffLine(Sign.ADDED, f"{'a b ' * 45}{n + 1}") for n in range(60)]
    budget = Budget()
    began = time.process_time()

    found = marked([*removed, *added], budget)

    assert 0 < len(found) < 120
    assert budget.work >= 0
    assert time.process_time() - began < 5
    assert marked([*removed, *removed, *added], Budget()) == {}


# Lines.


def added_file(*texts: str, path: str = "x.py") -> PatchFile:
    body = f"@@ -0,0 +1,{len(texts)} @@\n" + "".join(f"+{text}\n" for text in texts)
    return PatchFile(path=path, body=body)


def bare(html: Markup) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


@given(
    st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), max_size=80),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), max_size=4),
)
def test_colours_and_marks_change_no_letter(text: str, ranges: list[tuple[int, int]]) -> None:
    marks = [(min(one), max(one)) for one in ranges]
    (found,) = shown_file(added_file(text), DiffView.UNIFIED).hunks if text else ((),)
    colours = coloured([DiffLine(Sign.ADDED, text)], lexer_for("x.py"), Clock()).get(0, [])

    assert bare(code_html(text, colours, marks)) == text
    if found:
        assert bare(found.lines[0].html) == text


def test_code_is_coloured_by_the_name_of_its_file() -> None:
    (hunk,) = shown_file(added_file("def f(x):", "    return 'y'"), DiffView.UNIFIED).hunks
    (other,) = shown_file(added_file("def f(x):", path="x.unknown"), DiffView.UNIFIED).hunks

    assert '<span class="k">def</span>' in hunk.lines[0].html
    assert '<span class="s1">' in hunk.lines[1].html
    assert other.lines[0].html == "def f(x):"


def test_a_string_over_several_lines_is_coloured_on_each_side_alone() -> None:
    body = '@@ -1,3 +1,3 @@\n x = """\n-old\n+new\n """\n'
    (hunk,) = shown_file(PatchFile(path="x.py", body=body), DiffView.UNIFIED).hunks

    assert all("<span" in line.html for line in hunk.lines)


def test_hostile_lines_are_text_and_bounded() -> None:
    hostile = ["<script>alert(1)</script>", "a\u202eb", "\x1b[31mred", "x" * 1_000_000, "\x00"]
    began = time.process_time()

    (hunk,) = shown_file(added_file(*hostile), DiffView.UNIFIED).hunks
    html = "".join(line.html for line in hunk.lines)

    assert "<script" not in html
    assert "U+202E" in html
    assert "999.0 kB more" in html or "999 kB more" in html
    assert len(html) < 10_000
    assert time.process_time() - began < 5


def test_a_very_long_file_comes_in_pieces() -> None:
    file = added_file(*(f"line {number}" for number in range(50_000)))
    began = time.process_time()

    first = shown_file(file, DiffView.UNIFIED)
    last = shown_file(file, DiffView.UNIFIED, start=49_500)

    assert (first.next, first.left) == (LINES_AT_A_TIME, 50_000 - LINES_AT_A_TIME)
    assert [line.new for line in first.hunks[0].lines] == list(range(1, LINES_AT_A_TIME + 1))
    assert (last.next, len(last.hunks[0].lines), last.hunks[0].head) == (None, 500, "")
    assert time.process_time() - began < 10


def test_colours_stop_when_their_time_is_over() -> None:
    lines = [DiffLine(Sign.ADDED, "def f(): pass")] * 20

    assert coloured(lines, lexer_for("x.py"), Clock(seconds=-1)) == {}


def test_two_columns_have_each_line_once() -> None:
    body = "@@ -1,4 +1,4 @@\n a\n-b\n-c\n+B\n d\n+e\n"
    (hunk,) = shown_file(PatchFile(path="x", body=body), DiffView.SPLIT).hunks

    sides = [(left and left.old, right and right.new) for left, right in hunk.pairs]
    assert sides == [(1, 1), (2, 2), (3, None), (4, 3), (None, 4)]


def test_carriage_returns_show_only_where_they_differ() -> None:
    (whole,) = shown_file(added_file("a\r", "b\r", path="x"), DiffView.UNIFIED).hunks
    (mixed,) = shown_file(added_file("a\r", "b", path="x"), DiffView.UNIFIED).hunks

    assert [line.html for line in whole.lines] == ["a", "b"]
    assert "U+000D" in mixed.lines[0].html


def test_all_colours_of_code_can_be_read_on_all_backgrounds() -> None:
    styles = static_files().files["app.css"].decode()

    def rgb(text: str) -> tuple[int, int, int]:
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)

    pair = r"light-dark\((#\w{6}), (#\w{6})\)"
    grounds = re.findall(rf"--(?:panel|(?:add|del)(?:-strong)?): {pair}", styles)
    colours = re.findall(rf"^\.dc \.\w+,? [^{{]*{{ color: {pair}", styles, re.MULTILINE)
    assert (len(grounds), len(colours)) == (5, 6)
    for rule, place in ((rule, place) for rule in colours for place in (0, 1)):
        # What is quiet takes the colour of the text where words are marked.
        is_quiet = rule == colours[2]
        for ground in grounds[:5]:
            is_strong = ground in (grounds[2], grounds[4])
            if not (is_quiet and is_strong):
                assert contrast(rgb(rule[place]), rgb(ground[place])) >= 4.5, (rule, ground)


# What is counted, and what is kept.


def entries(*files: FileChange, patch: str | None, is_cut: bool = False) -> list[FileEntry]:
    kept = None if patch is None else patch_files(patch)
    return file_entries(DiffStat(files=files), kept, is_cut=is_cut)


def test_counts_and_lines_come_together(repository: Path) -> None:
    (repository / "a.txt").write_text("1\n")
    (repository / "b.txt").write_text("".join(f"{n}\n" for n in range(50)))
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Begin")
    (repository / "b.txt").rename(repository / "c.txt")
    (repository / "a.txt").write_text("2\n")

    found = entries(
        FileChange(path="a.txt", added=1, removed=1, committed=False),
        FileChange(path="b.txt → c.txt", added=0, removed=0),
        FileChange(path="d.txt", added=3, removed=0, branch="other"),
        FileChange(path="logo.png", added=None, removed=None),
        patch=patch_of(repository),
    )

    assert [(one.shown, one.note) for one in found] == [
        ("a.txt", ""),
        ("b.txt → c.txt", "Renamed without other changes."),
        ("d.txt", "It is on another branch, whose lines are not kept."),
        ("logo.png", "A binary file."),
    ]
    assert (found[0].is_committed, found[0].line_count) == (False, 3)


def test_a_run_whose_lines_were_not_kept_has_its_counts() -> None:
    (found,) = entries(FileChange(path="a", added=3, removed=1), patch=None)

    assert (found.added, found.removed, found.note) == (3, 1, "Its lines were not kept.")


def test_a_file_beyond_the_kept_part_says_so() -> None:
    (found,) = entries(FileChange(path="a", added=3, removed=1), patch="", is_cut=True)

    assert found.note == "The changes are too long: its lines were not kept."


@given(st.integers(0, 400))
def test_a_patch_that_was_cut_anywhere_can_be_read(cut: int) -> None:
    text = (
        "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,3 +1,4 @@ def f\n a\n-b\n"
        "+B\n+C\n c\n@@ -9,2 +10,3 @@\n y\n+z\n w\n"
        "diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-1\n+2\n"
    )
    parts = files_of(text[:cut])
    if not parts:
        return
    parts[-1] = without_torn_end(parts[-1])

    for file in patch_files("".join(parts)):
        assert read_hunks(file.body).raw == ""
