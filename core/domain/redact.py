"""Redaction of texts: what looks like a secret is replaced before it is stored or shown."""

import re
from collections.abc import Iterable

from core.domain.redaction.addresses import ADDRESS_RULES
from core.domain.redaction.assignments import ASSIGNMENT_RULES, is_secret_field
from core.domain.redaction.formats import FORMAT_RULES
from core.domain.redaction.headers import HEADER_RULES
from core.domain.redaction.key_blocks import KEY_RULES
from core.domain.redaction.known import forms_of
from core.domain.redaction.rule import REDACTED, Rule

__all__ = ["REDACTED", "RULES", "redact", "redact_field"]

RULES: tuple[Rule, ...] = (
    *KEY_RULES,
    *FORMAT_RULES,
    *ADDRESS_RULES,
    *HEADER_RULES,
    *ASSIGNMENT_RULES,
)
# A replacement can uncover the next secret, for example at the end of a text that was too long.
_MAX_PASSES = 4
# The codes of colours, which can stand in the middle of a token: `grep --color` puts them there.
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Replace what looks like a credential, and each of `secrets`, by `[redacted]`.

    It finds the token formats of services that agents use, private keys, credentials in headers
    and addresses, and the values of what is called a password, a secret or a token.  It cannot
    find every secret.  Of `secrets`, texts shorter than 8 characters are ignored, since they
    would match ordinary words; each is also found in JSON, in a URL's encoding and in Base64.
    """
    forms = forms_of(tuple(secrets))
    for _ in range(_MAX_PASSES):
        before = text
        if "\x1b" in text:
            plain = _COLOUR.sub("", text)
            clean = _redact_once(plain, forms)
            text = text if clean == plain else clean
        text = _redact_once(text, forms)
        if text == before:
            break
    return text


def redact_field(name: str, text: str, *, secrets: Iterable[str] = ()) -> str:
    """Redact the text of a field; as a whole if the field is called a password or a token."""
    return REDACTED if is_secret_field(name, text) else redact(text, secrets=secrets)


def _redact_once(text: str, forms: tuple[str, ...]) -> str:
    for form in forms:
        text = text.replace(form, REDACTED)
    for rule in RULES:
        text = rule.apply(text)
    return text
