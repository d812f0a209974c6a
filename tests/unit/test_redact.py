"""Credentials are redacted in every text, in linear time."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.assembly.logs import _JsonFormatter, _TextFormatter
from core.domain.redact import REDACTED, redact, redact_field
from core.domain.test_output.parse import parse_test_counts
from tests.credentials import Credentials

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


@pytest.mark.full_speed
@pytest.mark.parametrize("part", ["a.", "eyJ", "token ", "a://b", "-----BEGIN ", "sk-", "\n", "= "])
def test_redaction_and_the_search_for_test_results_take_linear_time(part: str) -> None:
    text = (part * LENGTH)[:LENGTH]
    began = time.process_time()
    redact(text)
    parse_test_counts(text)

    # An idle machine takes 0.1 s, a busy one up to ten times as long; quadratic time is 13 s.
    assert time.process_time() - began < 6


PATHOLOGICAL = (
    "a", " ", "\n", "0", "=", "[", '"', "\\", "/", "a@", "a://b:c", "a://@", "password=", "token: ",
    'secret="', "key", "api_key ", "--password ", "authorization: ", "basic ", "bearer ", "xoxb-",
    "eyJaaaaaaaaaaaa.", "hooks.slack.com/services/", "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----", "AAAA==", "\x1b[", "\x1b[31m", "sk-", "ghp_", "curl -u a:", "%",
    "A" * 64 + "\n", "Q~", ":AA", "pass name value ",
)  # fmt: skip


@pytest.mark.full_speed
@pytest.mark.parametrize("part", PATHOLOGICAL)
def test_twenty_times_the_text_takes_at_most_a_hundred_times_as_long(part: str) -> None:
    def seconds(length: int) -> float:
        text = (part * length)[:length]
        began = time.thread_time()
        redact(text)
        return time.thread_time() - began

    seconds(1_000)
    short = min(seconds(25_000) for _ in range(3))

    # Quadratic time would be 400 times as long; a busy machine makes it 5 times as long.
    assert any(seconds(500_000) < 100 * short + 0.5 for _ in range(2))


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("the signing secret", "x 8f742231b10e8888abcd99yyyzzz85a5 y"),
        ("in JSON", '{"a": "pa\\"ss/w\\u00f6rd+1"}'),
        ("in a URL", "https://host/?p=pa%22ss%2Fw%C3%B6rd%2B1"),
        ("in lower case", "https://host/?p=pa%22ss%2fw%c3%b6rd%2b1"),
        ("in Base64", base64.b64encode(b"user:8f742231b10e8888abcd99yyyzzz85a5").decode()),
        ("in Base64, moved", base64.b64encode(b"8f742231b10e8888abcd99yyyzzz85a5 y").decode()),
    ],
)
def test_a_known_secret_is_redacted_in_each_form(part: str, text: str) -> None:
    secrets = ["8f742231b10e8888abcd99yyyzzz85a5", 'pa"ss/wörd+1']

    assert redact(text) == text
    assert REDACTED in redact(text, secrets=secrets), part


@pytest.mark.parametrize(
    "secret", ["", "a", "1234567", "postgres", "signalbox", "aaaaaaaaaa", "   a    "]
)
def test_a_short_or_trivial_secret_does_not_blank_the_text(secret: str) -> None:
    text = "signalbox asked postgres 1234567 times: a aaaaaaaaaa and   a    more"

    assert redact(text, secrets=[secret]) == text


def test_a_field_is_judged_by_its_name_too() -> None:
    assert redact_field("dbPassword", "hunter22") == REDACTED
    assert redact_field("description", "hunter22") == "hunter22"
    assert redact_field("token", "next_token") == "next_token"


def test_a_private_key_is_redacted_wherever_it_was_cut() -> None:
    key = Credentials().pem()
    lines = key.split("\n")
    for begin in range(len(lines)):
        for end in range(begin + 2, len(lines) + 1):
            text = redact("\n".join(lines[begin:end]))
            left = [line for line in lines[1:-1] if line in text]
            assert not left, (begin, end)
    for cut in range(60, len(key), 37):
        assert not [line for line in lines[1:-1] if line in redact(key[:cut])], cut


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda key: json.dumps({"private_key": key + "\n"}),
        lambda key: "\n".join(f"    {line}" for line in key.split("\n")),
        lambda key: "\n".join(f"{n:6}\t{line}" for n, line in enumerate(key.split("\n"), 1)),
        lambda key: "\n".join(f"+{line}" for line in key.split("\n")),
        lambda key: "\n".join(f"> {line}" for line in key.split("\n")),
        lambda key: key.replace("\n", "\r\n"),
        lambda key: f"KEY='{key}'",
    ],
)
@pytest.mark.parametrize("kind", ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY"])
def test_a_private_key_is_redacted_however_it_is_shown(
    kind: str, wrapped: Callable[[str], str]
) -> None:
    key = Credentials().pem(kind, width=70 if "SSH" in kind else 64)

    text = redact(f"before\n{wrapped(key)}\nafter, an ordinary line")

    assert not [line for line in key.split("\n")[1:-1] if line in text]
    assert text.startswith("before\n")
    assert text.endswith("after, an ordinary line")


def test_a_pgp_key_is_redacted_with_its_headers_and_checksum() -> None:
    edge = "-" * 5
    kind = "PGP PRIVATE KEY BLOCK"
    body = Credentials().key_lines()
    block = [
        f"{edge}BEGIN {kind}{edge}",
        "Version: GnuPG v2",
        "",
        *body,
        "=aB3d",
        f"{edge}END {kind}{edge}",
    ]

    assert redact("\n".join(["a", *block, "b"])) == f"a\n{REDACTED}\nb"


PIECES = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            [*PATHOLOGICAL, "hunter22", TOKEN, "@host/", "'", "`", ">", "</", "value:"]
        ),
    ),
    max_size=12,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(PIECES)
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact(text, secrets=["hunter22"])

    assert redact(once, secrets=["hunter22"]) == once
    assert len(once) <= 3 * len(text) + len(REDACTED)
    if "KEY" not in text and "A" * 64 not in text:
        assert once.count("\n") == text.count("\n")


@given(st.lists(st.text(max_size=20), max_size=4), st.text(max_size=50))
def test_any_secret_and_any_text_are_accepted(secrets: list[str], text: str) -> None:
    for secret in secrets:
        assert isinstance(redact(text + secret, secrets=secrets), str)
    redacted = redact("\ud800 and \ud800abcdefgh", secrets=["\ud800abcdefgh"])

    assert redacted.startswith("\ud800 and ")
    assert "abcdefgh" not in redacted


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
