"""The child processes of charts: pictures, the program of browsers, and what goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import struct
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bot.charts.by_name import grouped_bars
from bot.charts.children import ChartChildren, ChartsFailed, Work
from bot.charts.palette import PICTURE, Tone
from bot.charts.pictures import ChartPictures
from bot.charts.program import ChartProgram
from bot.charts.specs import Axis, Series, Spec, as_picture
from tests.limits import patient

_FONTS = [Path(path) for path in ("/usr/share/fonts", "/usr/local/share/fonts", "/etc/fonts")]
LIMIT = timedelta(seconds=patient(60))


def spec() -> Spec:
    values = Series(name="This day", tone=Tone.ACCENT, values=[3, 1])
    made = grouped_bars(["Completed", "Killed"], [values], Axis(title="runs"), PICTURE)
    return as_picture(made, "Ended runs")


def children(script: str, *, limit: timedelta = LIMIT) -> ChartChildren:
    """Children that run a script instead of the library."""
    return ChartChildren(limit=limit, command=(sys.executable, "-c", script))


async def test_each_chart_becomes_a_picture_of_its_size() -> None:
    pictures = await ChartPictures(ChartChildren(limit=LIMIT)).draw([spec(), spec()])

    assert len(pictures) == 2
    assert pictures[0] == pictures[1]
    width, height = struct.unpack(">II", pictures[0][16:24])
    # Two pixels for each unit, and what stands around the chart.
    assert 1200 < width < 1500
    assert 400 < height < 900
    assert len(pictures[0]) < 200_000


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap to hide the fonts")
async def test_a_machine_without_fonts_draws_the_same_words() -> None:
    hidden = [part for path in _FONTS if path.is_dir() for part in ("--tmpfs", str(path))]
    command = (
        *("bwrap", "--bind", "/", "/", "--dev", "/dev", *hidden),
        *(sys.executable, "-m", "bot.charts.child"),
    )
    bare = ChartChildren(limit=LIMIT, command=command)
    wordless = {**spec(), "title": None, "layer": spec()["layer"][:1]}

    [usual] = await ChartPictures(ChartChildren(limit=LIMIT)).draw([spec()])
    with_words, without = await ChartPictures(bare).draw([spec(), wordless])

    # The letters are some kilobytes of the picture.
    assert len(with_words) > 0.9 * len(usual)
    assert len(without) < 0.9 * len(usual)


async def test_a_chart_that_is_none_is_an_error() -> None:
    with pytest.raises(ChartsFailed, match="exit code"):
        await ChartPictures(ChartChildren(limit=LIMIT)).draw([{"mark": "no such mark"}])


async def test_a_child_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    script = (
        f"import os, pathlib, time; pathlib.Path({str(tmp_path / 'pid')!r}).write_text("
        "str(os.getpid())); time.sleep(600)"
    )
    slow = children(script, limit=timedelta(seconds=patient(2)))

    with pytest.raises(ChartsFailed, match="not done within"):
        await slow.run(Work.PROGRAM)

    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("print('x' * 20_000_000)", "more than"),
    ],
)
async def test_what_a_child_does_wrong_is_told(script: str, words: str) -> None:
    with pytest.raises(ChartsFailed, match=words):
        await children(script).run(Work.PROGRAM)


async def test_pictures_that_are_none_are_an_error() -> None:
    for script in ("", "import sys; sys.stdout.buffer.write(b'\\0\\0\\0\\4junk')", "print(1)"):
        with pytest.raises(ChartsFailed):
            await ChartPictures(children(script)).draw([spec()])


async def test_a_missing_program_is_told() -> None:
    with pytest.raises(ChartsFailed):
        await ChartChildren(command=("/nonexistent",)).run(Work.PROGRAM)


async def test_a_child_has_no_secrets_and_the_next_waits_for_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = (
        f"import os, pathlib; lock = pathlib.Path({str(lock)!r}); lock.touch(exist_ok=False);"
        "print(sorted(set(os.environ) - {'LC_CTYPE'})); lock.unlink()"
    )
    one = children(script)

    printed = await asyncio.gather(*(one.run(Work.PROGRAM) for _ in range(3)))

    assert [text.decode().strip() for text in printed] == ["[]"] * 3


def made(tmp_path: Path, content: str = "window.x = 1") -> tuple[ChartProgram, Path]:
    """A program that counts in a file how often it was made."""
    count = tmp_path / "count"
    script = (
        f"import gzip, sys; open({str(count)!r}, 'a').write('x');"
        f"sys.stdout.buffer.write(gzip.compress({content.encode()!r}, mtime=0))"
    )
    return ChartProgram(tmp_path / "charts", children(script)), count


async def test_the_program_is_made_once_and_kept_for_the_next_start(tmp_path: Path) -> None:
    first, count = made(tmp_path)
    both = await asyncio.gather(first.content(), first.content())
    second, _ = made(tmp_path)

    again = await second.content()

    assert {gzip.decompress(one) for one in (*both, again)} == {b"window.x = 1"}
    assert count.read_text() == "x"
    [kept] = (tmp_path / "charts").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


async def test_a_damaged_or_foreign_file_is_made_anew(tmp_path: Path) -> None:
    first, count = made(tmp_path)
    await first.content()
    [kept] = (tmp_path / "charts").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    older = kept.with_name("0123456789abcdef-00.js.gz")
    older.write_bytes(b"an older version")
    second, _ = made(tmp_path)

    assert gzip.decompress(await second.content()) == b"window.x = 1"

    assert count.read_text() == "xx"
    assert list((tmp_path / "charts").iterdir()) == [kept]


async def test_a_program_that_cannot_be_kept_is_used_from_memory(tmp_path: Path) -> None:
    first, count = made(tmp_path)
    (tmp_path / "charts").write_text("no folder")

    assert await first.content() == await first.content()
    assert count.read_text() == "x"


async def test_a_failure_is_tried_again(tmp_path: Path) -> None:
    flag = tmp_path / "works"
    script = (
        f"import gzip, os, sys; os.path.exists({str(flag)!r}) or sys.exit(1);"
        "sys.stdout.buffer.write(gzip.compress(b'ok', mtime=0))"
    )
    program = ChartProgram(None, children(script))
    await program.prepare()
    with pytest.raises(ChartsFailed):
        await program.content()
    flag.touch()

    assert gzip.decompress(await program.content()) == b"ok"


async def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(ChartsFailed, match="not what was asked for"):
        await ChartProgram(None, children("print('hello')")).content()


async def test_the_real_program_draws() -> None:
    content = await ChartProgram(None, ChartChildren(limit=LIMIT)).content()

    script = gzip.decompress(content).decode()
    assert "window.vegaEmbed=" in script
    assert len(content) < 400_000
    # Nothing else of the library is put into the page.
    assert "window.vegaLite" not in script
