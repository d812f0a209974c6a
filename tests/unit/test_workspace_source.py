"""The accepted forms of a repository address."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.workspace.source import BadRepository, parse_source


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/acme/api.git",
        "https://git.acme.example:8443/team/api",
        "ssh://git@git.acme.example:2222/team/api.git",
        "ssh://git.acme.example/api",
        "git@github.com:acme/api.git",
        "file:///srv/git/api.git",
        "/srv/git/api",
        "/srv/a path/with spaces",
    ],
)
def test_every_allowed_form_is_accepted(text: str) -> None:
    source = parse_source(f"  {text} ")

    assert source.display_url.replace("%20", " ") == text
    assert not source.secrets


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "--upload-pack=touch /tmp/pwned",
        "-u",
        "ext::sh -c 'touch /tmp/pwned'",
        "EXT::sh",
        "fd::17",
        "http://github.com/acme/api",
        "git://github.com/acme/api",
        "ftp://example.org/x",
        "javascript://x/y",
        "https://",
        "https:///path",
        "https://host",
        "https://-oProxyCommand=x/y",
        "https://ho st/y",
        "https://host:port/y",
        "https://host/y?x=1",
        "https://host/y#z",
        "https://[::1/y",
        "ssh://-oProxyCommand=touch/x",
        "ssh://-u@host/x",
        "-x@host:path",
        "git@-host:path",
        "git@host:-path",
        "git@host::path",
        "file://host/path",
        "file://user:secret@localhost/path",
        "file:relative",
        "file:///a%0ab",
        "relative/path",
        "../up",
        ".",
        "/a\nb",
        "/a\x00b",
        "/a\x7fb",
        "https://host/a\r\nb",
        "https://user%0a:x@host/y",
        "/" + "x" * 3000,
        "/\ud800",
    ],
)
def test_everything_else_is_refused_with_advice(text: str) -> None:
    with pytest.raises(BadRepository) as raised:
        parse_source(text)

    assert "https://…" in raised.value.user_message


@pytest.mark.parametrize(
    "text",
    [
        "https://ada:s3cr3t-t0ken@github.com/acme/api.git",
        "https://s3cr3t-t0ken@github.com/acme/api.git",
        "https://x-access-token:s3cr3t-t0ken@github.com/acme/api.git",
    ],
)
def test_credentials_are_neither_shown_nor_put_on_a_command_line(text: str) -> None:
    source = parse_source(text)

    assert source.display_url == source.url == "https://github.com/acme/api.git"
    assert "s3cr3t-t0ken" in source.secrets
    assert "s3cr3t" not in repr(source)
    assert list(source.settings) == ["http.https://github.com/acme/api.git.extraHeader"]


def test_an_ssh_password_is_removed() -> None:
    source = parse_source("ssh://git:s3cr3t@host/x")

    assert source.display_url == "ssh://git@host/x"
    assert "s3cr3t" not in repr(source)


@given(st.text(max_size=60))
def test_any_text_is_either_a_source_or_refused(text: str) -> None:
    with suppress(BadRepository):
        source = parse_source(text)

        assert not source.url.startswith("-")
        assert "::" not in source.url.split("/")[0]


@given(st.text(max_size=40), st.sampled_from(["https://", "ssh://", "file://", "git@", "/"]))
def test_any_text_after_a_known_prefix_is_either_a_source_or_refused(
    text: str, beginning: str
) -> None:
    with suppress(BadRepository):
        assert "\n" not in parse_source(beginning + text).url
