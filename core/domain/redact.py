"""Redaction of texts: what looks like a secret is replaced before it is stored or shown."""

import re
from collections.abc import Iterable

REDACTED = "[redacted]"

# Every pattern needs only linear time, since texts can be anything and the event loop waits.
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"xox[abeoprs]-[A-Za-z0-9-]{8,}",  # Slack tokens
        r"xapp-[A-Za-z0-9-]{8,}",
        r"xoxe\.xox[bp]-[A-Za-z0-9-]{8,}",
        r"sk-[A-Za-z0-9_-]{16,}",  # Anthropic and OpenAI keys
        r"gh[pousr]_[A-Za-z0-9]{20,}",  # GitHub tokens
        r"github_pat_[A-Za-z0-9_]{20,}",
        r"glpat-[A-Za-z0-9_-]{16,}",
        r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # AWS key ids
        r"AIza[0-9A-Za-z_-]{30,}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        # JSON web tokens.
        r"eyJ[A-Za-z0-9_-]{10,1000}+\.[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}",
    )
)
_BEARER = re.compile(r"(?i)\b(bearer|token)\s+[A-Za-z0-9._~+/-]{16,}=*")
# Matches from the start of a word only: attempts at every letter would take quadratic time.
_URL_USER = re.compile(r"(?i)(?<![a-z0-9+.-])([a-z0-9+.-]++://)[^/\s@]+@")


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Replace what looks like a credential, and each of `secrets`, by `[redacted]`.

    It finds the token formats of services that agents use, private keys, bearer headers, and user
    information in URLs.  It cannot find every secret.  Of `secrets`, texts shorter than 6
    characters are ignored, since they would match ordinary words.
    """
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, REDACTED)
    for pattern in _PATTERNS:
        text = pattern.sub(REDACTED, text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return _URL_USER.sub(rf"\1{REDACTED}@", text)
