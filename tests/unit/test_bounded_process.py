from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from core.workspace.bounded_process import TooMuchOutput, communicate

LIMIT = timedelta(seconds=60)
ECHO = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"


def started(program: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_input_and_output_of_any_size_pass(size: int) -> None:
    process = started(ECHO)

    out, err = communicate(process, b"x" * size, limit=LIMIT, max_bytes=size)

    assert (len(out), err, process.returncode) == (size, b"", 0)


def test_input_that_is_not_wanted_is_no_error() -> None:
    process = started("import os; os.close(0); print(1)")

    assert communicate(process, b"x" * 1_000_000, limit=LIMIT, max_bytes=9)[0] == b"1\n"


def test_the_end_of_a_long_error_output_is_kept() -> None:
    process = started("import sys; sys.stderr.write('x' * 1_000_000 + 'last words')")

    _, err = communicate(process, b"", limit=LIMIT, max_bytes=0)

    assert len(err) == 65_536
    assert err.endswith(b"last words")


def test_an_output_without_end_is_cut_off() -> None:
    process = started("while True: print('x' * 10_000)")
    try:
        with pytest.raises(TooMuchOutput):
            communicate(process, b"", limit=LIMIT, max_bytes=1_000_000)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "program",
    ["import time; time.sleep(99)", "import os, time; os.close(1); os.close(2); time.sleep(99)"],
)
def test_a_process_that_takes_too_long_is_noticed(program: str) -> None:
    process = started(program)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            communicate(process, b"", limit=timedelta(seconds=0.5), max_bytes=0)
    finally:
        process.kill()
        process.wait()
