"""Values of what is called a password, a secret, a token or a key, in any notation.

Source code, JSON, YAML, TOML, environment files, options of commands, queries of addresses,
connection strings and XML.
"""

import re

from core.domain.redaction.rule import REDACTED, Rule
from core.domain.redaction.values import Style, is_secret

_NAME_END = r"(?:[_-]?[0-9]{1,2})?(?![a-z0-9_])"
# Each begins with a text that is looked for first, which costs a fortieth of the pattern.
_NAMES = tuple(
    (stem, re.compile(stem + pattern + _NAME_END))
    for stem, pattern in (
        ("pass", r"(?:w(?:or)?d|phrase|code)?"),
        ("pwd", ""),
        ("secret", ""),
        ("token", ""),
        ("key", ""),
        ("_auth", ""),
    )
)
_PASSWORD_STEMS = ("pass", "pwd")
# What a key or a pass has before it, if it is one.
_BEFORE = {
    "key": re.compile(
        r"(?:api|access|secret|private|account|auth|encryption|signing|shared|master|service"
        r"|storage|license|admin|app|client|server)[_.\- ]?\Z"
    ),
    "pass": re.compile(r"(?:\A|[^a-z])\Z"),
}
_BEFORE_CHARS = 12
_MAX_NAME_CHARS = 60
_SEPARATOR = re.compile(
    r"(?:\\{0,3}[\"'`]|\])?(?:"
    # `password: str = `
    r"[ \t]{0,4}:[ \t]{0,2}[A-Za-z_.]{1,24}(?:[ \t]?\|[ \t]?None)?[ \t]{0,2}=(?!=)"
    # `- name: PASSWORD`, `value: `
    r"|[\"']?,?\s{1,60}[\"']?value[\"']?[ \t]{0,4}[:=]"
    r"|[ \t]{0,8}(?::=|=>|=(?![=~>])|:(?![:=])|%3[Dd])"
    r"|>(?=[^<>\n]{1,200}</)"
    r")[ \t]{0,8}"
)
# `--password value`
_OPTION_GAP = re.compile(r"[ \t]{1,4}(?!-)")
_QUOTE = re.compile(r"[bBrRuUfF]{0,2}(?P<quote>\\{0,3}[\"'`])")
_QUOTED = {
    '"': re.compile(r"(?:[^\"\\\n]|\\.){0,512}"),
    "'": re.compile(r"(?:[^'\\\n]|\\.){0,512}"),
    "`": re.compile(r"[^`\n]{0,512}"),
}
_ESCAPED_QUOTED = re.compile(r"[^\"'`\\\n]{0,512}")
_RUN = re.compile(r"[^\s\"'`<>,;&=]{1,512}+={0,3}")
_LINE_REST = re.compile(r"[^\s\"'`]{1,512}(?=[ \t]*(?:\r?\n|\r|\Z|[ \t]#))")
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_LINE_LEAD = re.compile(
    r"[\s0-9:|+→>*-]*(?:(?:export|set|setx|env|ENV|ARG|declare -x)[ \t]+)?[\"']?\Z"
)
_LINE_WINDOW = 100


def _redact(text: str) -> str:
    lowered = text.lower()
    if len(lowered) != len(text):
        # One letter, the Turkish dotted I, becomes two.
        lowered = text.replace("\u0130", "i").lower()
    names = sorted(
        (name.start(), name.end(), stem in _PASSWORD_STEMS)
        for stem, pattern in _NAMES
        if stem in lowered
        for name in pattern.finditer(lowered)
        if _is_name(lowered, stem, name)
    )
    pieces: list[str] = []
    done = 0
    for start, end, is_password in names:
        if start < done:
            continue
        span = _secret_after(text, start, end, is_password=is_password)
        if span:
            pieces += (text[done : span[0]], REDACTED)
            done = span[1]
    return "".join((*pieces, text[done:])) if pieces else text


def is_secret_field(name: str, value: str) -> bool:
    """Whether a field's value is a secret, judging by the field's name too."""
    lowered = name[-_MAX_NAME_CHARS:].lower()
    for stem, pattern in _NAMES:
        found = pattern.search(lowered, max(0, lowered.rfind(stem)))
        if found and found.end() == len(lowered) and _is_name(lowered, stem, found):
            is_password = stem in _PASSWORD_STEMS
            return is_secret(value, is_password=is_password, style=Style.QUOTED)
    return False


def _is_name(lowered: str, stem: str, name: re.Match[str]) -> bool:
    if stem not in _BEFORE or (stem == "pass" and len(name[0]) > 6):
        return True
    before = lowered[max(0, name.start() - _BEFORE_CHARS) : name.start()]
    return _BEFORE[stem].search(before) is not None


def _secret_after(
    text: str, name_start: int, name_end: int, *, is_password: bool
) -> tuple[int, int] | None:
    separator = _SEPARATOR.match(text, name_end)
    head = text[max(0, name_start - _MAX_NAME_CHARS) : name_start]
    full_start = name_start - (len(head) - len(head.rstrip(_NAME_CHARS)))
    is_option = text.startswith("--", full_start)
    if separator is None and is_option:
        separator = _OPTION_GAP.match(text, name_end)
    if separator is None:
        return None
    start = separator.end()
    quote = _QUOTE.match(text, start)
    if quote:
        mark = quote["quote"]
        pattern = _QUOTED[mark] if len(mark) == 1 else _ESCAPED_QUOTED
        found, style = pattern.match(text, quote.end()), Style.QUOTED
    else:
        style = _style(text, full_start, name_end, separator[0])
        found = _LINE_REST.match(text, start) if style is not Style.BARE else None
        if found is None or found[0][-1] in ",)":
            found, style = _RUN.match(text, start), Style.BARE
        if is_option and style is Style.BARE and separator[0].strip() == "=":
            style = Style.VARIABLE
    if found is None:
        return None
    value = found[0].rstrip(".,)]}\\") if style is Style.BARE else found[0]
    if not is_secret(value, is_password=is_password, style=style):
        return None
    end = found.start() + len(value)
    return found.start(), end


def _style(text: str, start: int, end: int, separator: str) -> Style:
    """The notation of an unquoted value, from what is before it in its line."""
    floor = max(0, start - _LINE_WINDOW)
    line_start = text.rfind("\n", floor, start) + 1
    if (line_start == 0 and floor > 0) or not _LINE_LEAD.match(text[line_start or floor : start]):
        return Style.BARE
    if separator == "=":
        return Style.VARIABLE if text[start:end].isupper() else Style.LINE
    return Style.LINE if separator.startswith(":") and separator != ":" else Style.BARE


ASSIGNMENT_RULES = (Rule(name="assignment", apply=_redact),)
