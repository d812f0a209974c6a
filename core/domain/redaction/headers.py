"""Credentials of HTTP: `Authorization` headers, and `curl --user`."""

import base64
import binascii
import re

from core.domain.redaction.rule import REDACTED, Rule

_SPACE = r"(?:[ \t]{1,4}|%20|\+|\\?[\"'],?[ \t]{0,4}\\?[\"'])"
_BEARER = re.compile(
    r"\b(?P<lead>(?:bearer|token)"
    rf"{_SPACE})(?=[A-Za-z._~+/-]{{0,60}}[0-9])(?P<value>[A-Za-z0-9._~+/-]{{16,}}+=*)",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(
    r"\b(?P<lead>authorization(?:\\?[\"'])?[ \t]{0,3}(?:[:=,]|%3A|=>)(?:[ \t]|%20|\\?[\"']){0,4}"
    r"(?:(?:bearer|token|basic|apikey|api-key|negotiate|splunk|genie ?key|key)"
    r"(?:[ \t]{1,4}|%20|\+))?)"
    r"(?P<value>[A-Za-z0-9._~+/=%:-]{6,}+)",
    re.IGNORECASE,
)
_BASIC = re.compile(
    r"\b(?P<lead>basic(?:[ \t]{1,4}|%20|\+))(?P<value>[A-Za-z0-9+/_-]{6,1000}+(?:=|%3D){0,2})",
    re.IGNORECASE,
)
_USER_OPTION = re.compile(
    r"(?P<lead>(?<![\w-])(?:-u|--user|--proxy-user)(?:[ \t]{1,4}|=)?[\"']?[\w.@+-]{1,100}:)"
    r"(?P<value>(?![$<{*])[^\s\"'`]{3,}+)"
)
_VARIED = re.compile(r"[0-9]|[a-z][A-Z].*[a-z][A-Z]|=")


def _redact_bearer(text: str) -> str:
    lowered = text.lower()
    if "bearer" in lowered or "token" in lowered:
        text = _BEARER.sub(_replace_varied, text)
    if "authorization" in lowered:
        text = _AUTHORIZATION.sub(_replace_varied, text)
    return text


def _redact_basic(text: str) -> str:
    return _BASIC.sub(_replace_pair, text) if "asic" in text or "ASIC" in text else text


def _redact_curl(text: str) -> str:
    return _USER_OPTION.sub(rf"\g<lead>{REDACTED}", text) if "curl" in text else text


def _replace_varied(found: re.Match[str]) -> str:
    is_credential = _VARIED.search(found["value"]) is not None
    return found["lead"] + REDACTED if is_credential else found[0]


def _replace_pair(found: re.Match[str]) -> str:
    """Replace what decodes to `user:password`."""
    value = found["value"].replace("%3D", "").replace("%3d", "").rstrip("=")
    usable = value[: len(value) - (len(value) % 4 == 1)]
    try:
        decoded = base64.b64decode(usable + "=" * (-len(usable) % 4), altchars=b"-_")
    except binascii.Error:
        return found[0]
    user, colon, _ = decoded.partition(b":")
    return (
        found["lead"] + REDACTED if colon and user.isascii() and _is_printable(user) else found[0]
    )


def _is_printable(text: bytes) -> bool:
    return all(32 <= byte < 127 for byte in text)


HEADER_RULES = (
    Rule(name="bearer", apply=_redact_bearer),
    Rule(name="basic", apply=_redact_basic),
    Rule(name="curl", apply=_redact_curl),
)
