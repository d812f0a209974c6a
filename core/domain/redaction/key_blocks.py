"""Private keys in PEM and PGP armour: whole ones, and the pieces that a cut leaves."""

import re
from string import ascii_letters, digits

from core.domain.redaction.rule import REDACTED, Rule

_KIND = r"(?:[A-Z0-9]{2,20} ){0,4}PRIVATE KEY(?: BLOCK)?"
_BEGIN = re.compile(rf"-----BEGIN {_KIND}-----")
_END = re.compile(rf"-----END {_KIND}-----")
# What stands in front of a line of the body: indentation, a line number, a quotation or list
# mark, the quotes and the escaped newline of a string.
_GAP = r"(?:[\s\"'+,>|→:#\\`;-]|\\[nrt]|[0-9]{1,6}(?=[\t→:|]| {1,4}))*+"
_ARMOUR_HEADER = r"(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|Subject|Public-Lines)"
_BODY_END = r"(?=[\s\"'\\`-]|\Z)"
_BODY = re.compile(
    rf"(?:{_GAP}(?:{_ARMOUR_HEADER}:[^\n\\]{{0,200}}|[A-Za-z0-9+/_=-]{{16,}}+))*+"
    rf"(?:{_GAP}[A-Za-z0-9+/_]{{1,80}}={{0,3}}{_BODY_END})?"
    # The checksum of PGP's armour.
    rf"(?:{_GAP}=[A-Za-z0-9+/]{{4}}{_BODY_END})?"
)
_GAP_BEFORE_END = re.compile(_GAP.replace("-]", "]"))
_LINE = re.compile(
    r"[\s\"',>|→:#`]*+(?:[0-9]{1,6}[\s→:|]++)?(?P<body>[A-Za-z0-9+/]{1,80}+={0,3}+)[\s\"',`]*+"
)
_ESCAPED_NEWLINE = "\\n"
_BASE64_CHARS = ascii_letters + digits + "+/="
# The widths of lines in PEM (RFC 7468) and in OpenSSH's format.
_WIDTHS = (64, 70)
_MAX_LINES = 400
_MAX_LINE_CHARS = 200


def _redact_blocks(text: str) -> str:
    if "PRIVATE KEY" not in text:
        return text
    pieces: list[str] = []
    done = 0
    begin = _BEGIN.search(text)
    while begin:
        body = _BODY.match(text, begin.end())
        stop = body.end() if body else begin.end()
        gap = _GAP_BEFORE_END.match(text, stop)
        end = _END.match(text, gap.end() if gap else stop)
        if end:
            stop = end.end()
        if end or len(text[begin.end() : stop].strip()) >= 16:
            pieces += (text[done : begin.start()], REDACTED)
            done = stop
        begin = _BEGIN.search(text, stop)
    return _redact_tails("".join((*pieces, text[done:])))


def _redact_tails(text: str) -> str:
    """Replace the lines in front of an end whose beginning was cut off."""
    pieces: list[str] = []
    done = 0
    for end in _END.finditer(text):
        start = _tail_start(text, done, end.start())
        if start < end.start():
            pieces += (text[done:start], REDACTED)
            done = end.end()
    return "".join((*pieces, text[done:]))


def _tail_start(text: str, floor: int, end: int) -> int:
    start = _escaped_start(text, max(floor, end - 8_000), end)
    line_end = text.rfind("\n", floor, end)
    for _ in range(_MAX_LINES):
        if line_end < 0 or text[line_end + 1 : start].strip(" \t\r\"'+,>|`#:0123456789→"):
            break
        line_start = text.rfind("\n", max(floor, line_end - _MAX_LINE_CHARS), line_end) + 1 or floor
        line = _LINE.fullmatch(text, line_start, line_end)
        if line is None or line_end - line_start > _MAX_LINE_CHARS:
            break
        start, line_end = line.start("body"), line_start - 1
    return start


def _escaped_start(text: str, floor: int, end: int) -> int:
    """Where a body in one line with escaped newlines begins, as in JSON; `end` if there is none."""
    *lines, last = text[floor:end].split(_ESCAPED_NEWLINE)
    if last.rstrip(_BASE64_CHARS):
        return end
    start = end - len(last)
    for line in reversed(lines):
        body = len(line) - len(line.rstrip(_BASE64_CHARS))
        start -= len(_ESCAPED_NEWLINE) + body
        if not line or body < len(line):
            break
    return start if lines else end


def _redact_middles(text: str) -> str:
    """Replace a text that is nothing but lines from the middle of a key."""
    first, newline, _ = text.lstrip().partition("\n")
    if not newline or len(first) > _MAX_LINE_CHARS or _LINE.fullmatch(first) is None:
        return text
    width = 0
    lines = [line for line in text.split("\n", _MAX_LINES) if line.strip()]
    for number, line in enumerate(lines):
        found = _LINE.fullmatch(line) if len(line) <= _MAX_LINE_CHARS else None
        if found is None:
            return text
        chars = len(found["body"])
        width = width or chars
        if width not in _WIDTHS or (chars != width and number < len(lines) - 1):
            return text
    return REDACTED if len(lines) > 1 else text


KEY_RULES = (
    Rule(name="private key", apply=_redact_blocks),
    Rule(name="piece of a key", apply=_redact_middles),
)
