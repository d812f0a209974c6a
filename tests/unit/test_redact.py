"""Credentials are redacted in every text, in linear time."""

from __future__ import annotations

import logging
import time

import pytest

from bot.assembly.logs import _JsonFormatter, _TextFormatter
from core.domain.redact import REDACTED, redact
from core.runner.execution.parsed_tests import parse_test_counts

LENGTH = 40_000
TOKEN = "xoxb-1234567890-abcdef"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see...https://me:pw@host", f"see...https://{REDACTED}@host"),
        ("--repo=-git+ssh://me@host/x", f"--repo=-git+ssh://{REDACTED}@host/x"),
        ("a.b.c://d.e/f@g", "a.b.c://d.e/f@g"),
        (f"jwt_eyJ{'a' * 20}.{'b' * 20}.{'c' * 20}!", f"jwt_{REDACTED}!"),
    ],
)
def test_a_credential_is_found_wherever_it_begins(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize("part", ["a.", "eyJ", "token ", "a://b", "-----BEGIN ", "sk-", "\n", "= "])
def test_redaction_takes_linear_time(part: str) -> None:
    text = (part * LENGTH)[:LENGTH]
    began = time.process_time()
    redact(text)
    parse_test_counts(text)

    # Ten times the measured time; quadratic time would be 13 s.
    assert time.process_time() - began < 1


@pytest.mark.parametrize("formatter", [_TextFormatter, _JsonFormatter])
def test_the_traceback_of_a_log_line_is_redacted_too(formatter: type[_TextFormatter]) -> None:
    try:
        raise RuntimeError(f"{TOKEN} and hunter2-hunter2")
    except RuntimeError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, __file__, 1, "failed", None, (type(error), error, None)
        )

    line = formatter(["hunter2-hunter2"]).format(record)

    assert "RuntimeError" in line
    assert TOKEN not in line
    assert "hunter2" not in line
