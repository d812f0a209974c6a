"""Values of what is called a password, a secret, a token or a key, in any notation.

Source code, JSON, YAML, TOML, environment files, options of commands, queries of addresses,
connection strings and XML.
"""

import re

from core.domain.redaction.rule import REDACTED, Rule
from core.domain.redaction.values import Style, is_secret

# Looked for first, each of them: far cheaper than the pattern, and in few texts.
_STEMS = ("pass", "pwd", "secret", "token", "key", "auth")
_NAME = re.compile(
    r"(?:(?P<password>passw(?:or)?d|passphrase|passcode|pwd|(?<![a-z])pass)"
    r"|secret|token"
    r"|(?:api|access|secret|private|account|auth|encryption|signing|shared|master|service|storage"
    r"|license|admin|app|client|server)[_.\- ]?key"
    r"|(?<=[_:])auth)"
    r"(?:[_-]?[0-9]{1,2})?(?![a-z0-9_])"
)
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
_MAX_CHARS = 512
_QUOTE = re.compile(r"[bBrRuUfF]{0,2}(?P<quote>\\{0,3}[\"'`])")
_QUOTED = {
    '"': re.compile(r"(?:[^\"\\\n]|\\.){0,512}"),
    "'": re.compile(r"(?:[^'\\\n]|\\.){0,512}"),
    "`": re.compile(r"[^`\n]{0,512}"),
}
_ESCAPED_QUOTED = re.compile(r"[^\"'`\\\n]{0,512}")
_RUN = re.compile(r"[^\s\"'`<>,;&]{1,512}")
_LINE_REST = re.compile(r"[^\s\"'`]{1,512}(?=[ \t]*(?:\r?\n|\r|\Z|[ \t]#))")
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_LINE_LEAD = re.compile(r"[\s0-9:|+→>*-]*(?:(?:export|set|setx|env|ENV|ARG|declare -x)[ \t]+)?[\"']?\Z")
_LINE_WINDOW = 100


def _redact(text: str) -> str:
    lowered = text.lower()
    if not any(stem in lowered for stem in _STEMS):
        return text
    if len(lowered) != len(text):
        # One letter, the Turkish dotted I, becomes two.
        lowered = text.replace("\u0130", "i").lower()
    pieces, done = [], 0
    name = _NAME.search(lowered)
    while name:
        end = name.end()
        span = _secret_after(text, name)
        if span:
            pieces += (text[done : span[0]], REDACTED)
            done = end = span[1]
        name = _NAME.search(lowered, end)
    return "".join((*pieces, text[done:])) if pieces else text


def _secret_after(text: str, name: re.Match[str]) -> tuple[int, int] | None:
    head = text[max(0, name.start() - 40) : name.start()]
    full_start = name.start() - (len(head) - len(head.rstrip(_NAME_CHARS)))
    separator = _SEPARATOR.match(text, name.end())
    is_option = text.startswith("--", full_start)
    if separator is None and is_option:
        separator = _OPTION_GAP.match(text, name.end())
    if separator is None:
        return None
    start = separator.end()
    is_password = name["password"] is not None
    quote = _QUOTE.match(text, start)
    if quote:
        mark = quote["quote"]
        pattern = _QUOTED[mark] if len(mark) == 1 else _ESCAPED_QUOTED
        found, style = pattern.match(text, quote.end()), Style.QUOTED
    else:
        style = _style(text, full_start, name.end(), separator[0])
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
