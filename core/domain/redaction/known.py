"""Secrets that are known by value, in the forms in which they may appear."""

import base64
import json
import re
from functools import lru_cache
from urllib.parse import quote, quote_plus

# Anything shorter would match ordinary words.
MIN_CHARS = 8
# Of the Base64 of a longer text that contains the secret, as in a Basic header.
_MIN_ENCODED_CHARS = 10
# Values that are no secret whatever their variable is called, and would blank ordinary texts.
_TRIVIAL = frozenset(
    {
        "postgres", "postgresql", "password", "passw0rd", "signalbox", "localhost", "changeme",
        "development", "production", "username", "disabled", "undefined", "required", "12345678",
        "123456789", "1234567890", "workflow", "database", "anthropic",
    }
)  # fmt: skip


@lru_cache(maxsize=64)
def forms_of(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Everything to look for, longest first: as it is, in JSON, in a URL, and in Base64."""
    forms = {form for secret in secrets if _is_worth(secret) for form in _forms(secret)}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _is_worth(secret: str) -> bool:
    return (
        len(secret) >= MIN_CHARS and len(set(secret)) > 2 and secret.strip().lower() not in _TRIVIAL
    )


def _forms(secret: str) -> set[str]:
    plain = secret.strip()
    if len(plain) < MIN_CHARS:
        return {secret}
    in_json = json.dumps(plain)[1:-1]
    in_url = quote(plain, safe="", errors="surrogatepass")
    return {
        plain,
        in_json,
        json.dumps(in_json)[1:-1],
        json.dumps(plain, ensure_ascii=False)[1:-1],
        in_url,
        re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), in_url),
        quote(plain, errors="surrogatepass"),
        quote_plus(plain, errors="surrogatepass"),
        *_base64_forms(plain.encode(errors="surrogatepass")),
    }


def _base64_forms(secret: bytes) -> set[str]:
    """What of the secret's Base64 does not depend on what surrounds it, for each alignment."""
    forms = set()
    for offset in range(3):
        padded = b"\0" * offset + secret
        whole = len(padded) // 3 * 3
        encoded = base64.b64encode(padded[:whole])[4 if offset else 0 :].decode()
        if len(encoded) >= _MIN_ENCODED_CHARS:
            forms |= {encoded, encoded.translate(str.maketrans("+/", "-_"))}
    return forms
