"""Judging of values: whether what is assigned to `password` or `token` is a secret.

Most of what source code assigns to such names is none: a variable, a type, a label, a
placeholder.  The judgement errs towards no secret for words, and towards a secret for anything
with digits or signs in it.
"""

import re
from enum import Enum
from itertools import pairwise


class Style(Enum):
    """How a value is written."""

    # `"value"`.
    QUOTED = "quoted"
    # A variable in an environment file: `NAME=value` and nothing else in the line.
    VARIABLE = "variable"
    # `name: value` and nothing else in the line.
    LINE = "line"
    # Anything else, for example an argument in source code or in a command.
    BARE = "bare"


_PLACEHOLDER = re.compile(
    r"(?:[$<{\[(*#%!]|@\{|\\?\.\.|process\.env|os\.|env[.(\[]|secretref|vault[:/]|arn:|op://"
    r"|(?:your|insert|enter|replace|change|todo|put|fill|paste)[-_ .]?"
    r"(?:me\b|your|my|the|this|here|with|in|own|new|api|secret|token|password|key|[-_ ]))",
    re.IGNORECASE,
)
_MARKER = re.compile(r"\$[{(]|\{\{|<%|%\(|%s|#\{|…|\.\.\.|\[redacted|<redacted|x{5}|X{5}|\*{3}")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_WORDS_ONLY = re.compile(r"[A-Za-z]+(?:[-_. /:][A-Za-z]+)*\Z")
_NUMBER = re.compile(r"[+-]?[0-9][0-9_.,:%-]*\Z|0x[0-9A-Fa-f]+\Z")
_PATH = re.compile(r"(?:\.{0,2}/|~/|[A-Za-z]:[\\/])[\w.@-]*(?:[\\/][\w.@-]+)*\Z")
_CODE = re.compile(r"[(){}\[\]|]|::|->|==|\w\.\w+\.\w|\\[nrt]")
# The parts of names and labels in programs, which are assigned to such names everywhere.
_PROGRAM_WORDS = frozenset(
    """
    a access account actual add admin algorithm all allow an any api app application apply arg args
    argument array as ascii async attempt attr auth authentication authorization aws azure bad
    bar base baz bearer bin bool bot bytes bytearray call callback cert change char check client
    cls code config confirm conn content context cookie count cred credential credentials csrf
    current custom data db debug decode default delete demo description dict disabled dummy empty
    enabled encode encoded encrypted end enter env environ environment error example expected
    expired fake false field file first float foo for form format from func function get github
    global gitlab google group handler hash hashed header hello hex hidden host http https id in
    index info init input int integer invalid is item jwt key keyring keys kwargs label last len
    length line list load local login long main managed match max md me message metadata method
    min missing mock mode my name new next nil no node none not null num number oauth obj object
    of ok old on openid opt option optional options or other output param params parse parser pass
    passphrase passwd password passwords path pk plain plaintext prefix private production prompt
    public pw pwd query quoted random raw read redacted ref refresh register request required res
    reset response result
    return rsa salt sample save scheme scope secret secrets self send server service session set
    sha shared sig signature signing size slack some source space spec sql ssh ssl staging start
    state static str string stripe suffix super svc sys system temp test tests testing text the
    this time title tls tmp to tok token tokens true tuple two txt type types undefined union
    unicode unique unknown update url user username users utf val valid value values var verify
    version void web webhook with word write wrong x xsrf yes you your
    """.split()  # noqa: SIM905 - a block of words reads better
)
_MAX_CHARS = 512


def is_secret(value: str, *, is_password: bool, style: Style) -> bool:
    """Whether a value is a secret, as far as can be told.

    Args:
        value: What is assigned, without quotes.
        style: How it is written.
        is_password: Whether its name is one of a password, which a person may have chosen.
    """
    if len(value) < 4 or len(set(value)) < 3 or _PLACEHOLDER.match(value):
        return False
    if _MARKER.search(value):
        return False
    if " " in value or "\t" in value or not value.isprintable():
        return False
    if _NUMBER.match(value):
        return is_password and value.isdigit() and len(value) >= 6
    if _PATH.match(value) and not _looks_random(value):
        return False
    if style is Style.BARE and _CODE.search(value):
        return False
    parts = [part.lower() for part in _PART.findall(value[:_MAX_CHARS])]
    words = [part for part in parts if not part.isdigit()]
    if all(word in _PROGRAM_WORDS for word in words) and len(value) < 40:
        return False
    if _WORDS_ONLY.match(value):
        return _are_secret_words(value, is_password=is_password, style=style)
    if not any(char.isdigit() for char in value):
        return _is_secret_without_digit(value, is_password=is_password, style=style)
    return _is_secret_with_digit(value, is_password=is_password, style=style)


def _are_secret_words(value: str, *, is_password: bool, style: Style) -> bool:
    if value.isalpha() and len(value) >= 16 and _looks_random(value):
        return True
    if style is Style.VARIABLE:
        return is_password and len(value) >= 5
    return False


def _is_secret_without_digit(value: str, *, is_password: bool, style: Style) -> bool:
    if not is_password or len(value) < 8 or not value[0].isalnum():
        return False
    if style is Style.BARE:
        return False
    return bool(re.search(r"[A-Za-z][!@#$^&*+?~][A-Za-z]", value)) and "=" not in value


def _is_secret_with_digit(value: str, *, is_password: bool, style: Style) -> bool:
    is_identifier = _IDENTIFIER.match(value) is not None
    if len(value) < (6 if is_password else 8):
        return False
    if _looks_random(value):
        return True
    if not is_password:
        return False
    return not is_identifier or style is not Style.BARE or value[-1:].isdigit()


def _looks_random(value: str) -> bool:
    """Whether digits and letters of both cases alternate as they do in no name."""
    run = max(re.split(r"[^A-Za-z0-9+/_-]", value), key=len)
    kinds = [
        "d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "s" for c in run
    ]
    changes = sum(1 for one, other in pairwise(kinds) if one != other)
    return len(run) >= 8 and changes * 4 >= len(run) and any(kind == "d" for kind in kinds)
