"""Realistic credentials are redacted, however they are written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import quote

import pytest

from core.domain.redact import REDACTED, redact
from tests.credentials import Credentials

FORMATS = Credentials().by_format()
ADDRESSES = Credentials().addresses()
ASSIGNMENTS = Credentials().assignments()

SURROUNDINGS: Mapping[str, Callable[[str], str]] = {
    "a sentence": "I found {} in the file.".format,
    "quotes": 'value "{}", then'.format,
    "single quotes": "value '{}'".format,
    "backticks": "run `{}` now".format,
    "brackets": "({})".format,
    "a fence": "```\n{}\n```".format,
    "a list": "* {}\n* other".format,
    "a link": "[here](https://example.com/?x={})".format,
    "a table": "| name | {} |".format,
    "colours": "\x1b[1;31m{}\x1b[0m".format,
    "a colour inside": lambda secret: f"\x1b[01;31m\x1b[K{secret[:5]}\x1b[m\x1b[K{secret[5:]}",
    "JSON": lambda secret: json.dumps({"a": f"line\n{secret}\nnext"}),
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"a": f"line\n{secret}"})),
    "escaped colours": lambda secret: json.dumps(f"\x1b[31m{secret}\x1b[0m"),
    "a diff": "+    key = {}".format,
    "a numbered line": "    12\t{}".format,
    "a search result": "config/app.env:12:{}".format,
    "an encoded query": lambda secret: "https://x.example/?next=a%3D" + quote(secret, safe="-_.~/+=:%"),  # noqa: E501
}  # fmt: skip


def secret_part(text: str, found: str) -> str:
    """The part that must not stay; without one, the longest word of the text."""
    return found or max(text.replace("=", " ").replace('"', " ").replace("'", " ").split(), key=len)


# One test for each sample, not for each sample in each surrounding: that would be 1,200 tests.


@pytest.mark.parametrize("name", FORMATS)
def test_a_token_is_redacted_in_any_surrounding(name: str) -> None:
    secret = FORMATS[name]
    pieces = secret.replace("%", ".").replace("~", ".").split(".")

    for surrounding, surround in SURROUNDINGS.items():
        text = redact(surround(secret))

        assert REDACTED in text, surrounding
        for piece in pieces:
            assert len(piece) < 8 or piece not in text, surrounding


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_keeps_its_host_but_not_its_credential(name: str) -> None:
    address, part = ADDRESSES[name]

    for wrapped in ("{}", "see {} there", '"{}"', "[link]({})", "<{}|here>"):
        text = redact(wrapped.format(address))

        assert REDACTED in text, wrapped
        assert (part or address.split("//")[1].split("@")[0]) not in text, wrapped
        assert address.split("://")[0] in text, wrapped


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_an_assigned_secret_is_redacted_and_its_name_stays(name: str) -> None:
    line, found = ASSIGNMENTS[name]
    secret = secret_part(line, found)

    for around in ("{}", "first\n{}\nlast\n", "```\n{}\n```"):
        text = redact(around.format(line))

        assert REDACTED in text, around
        assert secret not in text, around
        assert text.startswith(around.format(line)[:4]), around


def test_there_are_enough_samples() -> None:
    assert len(FORMATS) + len(ADDRESSES) + len(ASSIGNMENTS) >= 80


def test_an_azure_key_is_not_mistaken_for_the_checksum_of_a_lock_file() -> None:
    checksum = '"integrity": "sha512-' + Credentials(7).text(86, "base64") + '=="'

    assert redact(checksum) == checksum
