"""User information in addresses, like `https://me:password@host`."""

import re

from core.domain.redaction.rule import REDACTED, Rule

_MAX_CHARS = 512
_SCHEME_CHARS = 16
_SCHEME = re.compile(r"[A-Za-z0-9]\Z")
_RUN = re.compile(r"[^\s\"'<>`]{1,512}")
_HOST = re.compile(r"[A-Za-z0-9_\[%$.-]")
# A host for certain, other than a single word: with a dot, a port, or in brackets.
_CERTAIN_HOST = re.compile(
    r"(?:localhost|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+|[A-Za-z0-9_-]+(?=:[0-9]))"
    r"(?::[0-9]{1,5})?(?:[/?#)\],;]|\Z)"
)
_PORT = re.compile(r"[0-9]{0,5}(?:[/?#)\],;.]|\Z)")
_PATH = re.compile(r"[/?#\\]")
# Schemes whose addresses have paths in which an `@` is nothing unusual.
_PATH_SCHEMES = ("http", "https", "ws", "wss", "git", "ftp", "file")
_PLACEHOLDER = re.compile(r"(?:[$<{*]|%[(s]|\.\.\.|x{3,}\Z|\[redacted\])", re.IGNORECASE)
# Everybody's user name at the places where repositories are kept.
_PUBLIC_USERS = ("git", "hg", "svn")


def _redact(text: str) -> str:
    for slashes in ("://", ":\\/\\/"):
        if slashes in text:
            text = _redact_after(text, slashes)
    return text


def _redact_after(text: str, slashes: str) -> str:
    pieces: list[str] = []
    done, at = 0, text.find(slashes)
    while at >= 0:
        begin = at + len(slashes)
        following = text.find(slashes, begin)
        if at and _SCHEME.match(text, at - 1, at):
            run = _RUN.match(text, begin, begin + _MAX_CHARS if following < 0 else following)
            head = text[max(0, at - _SCHEME_CHARS) : at].lower()
            end = _user_end(run[0], is_path_scheme=head.endswith(_PATH_SCHEMES)) if run else 0
            if end:
                pieces += (text[done:begin], REDACTED)
                done = begin + end
        at = following
    return "".join((*pieces, text[done:]))


def _user_end(run: str, *, is_path_scheme: bool) -> int:
    """Where the user information ends, before its `@`; 0 if there is none."""
    if "@" not in run:
        return 0
    path = _PATH.search(run)
    authority = run[: path.start()] if path else run
    user, colon, rest = run.partition(":")
    if not colon or len(user) > len(authority) or "@" in user:
        # No password, so that the user information cannot have any odd characters.
        end = authority.rfind("@")
        if end <= 0 or _PLACEHOLDER.match(run) or run[:end].lower() in _PUBLIC_USERS:
            return 0
        return end
    end = _password_end(run, authority, rest, is_path_scheme=is_path_scheme)
    return 0 if end <= 0 or _PLACEHOLDER.match(rest) else end


def _password_end(run: str, authority: str, rest: str, *, is_path_scheme: bool) -> int:
    """The last `@`, since a password may contain `/` and `@`, unless that one is in the path."""
    end = authority.rfind("@")
    last = run.rfind("@")
    if end < 0 and _PORT.match(rest) and (is_path_scheme or "?" in run[:last]):
        return 0
    if end >= 0 and is_path_scheme and _CERTAIN_HOST.match(run, end + 1):
        return end
    while last > end and not _HOST.match(run, last + 1):
        last = run.rfind("@", 0, last)
    return last


ADDRESS_RULES = (Rule(name="address", apply=_redact),)
