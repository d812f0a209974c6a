"""Secrets never leave: what looks like one is replaced before it is kept or shown."""

import re
from collections.abc import Iterable

REDACTED = "[redacted]"

# Texts can be anything, and are redacted where much else waits: each pattern takes a time in
# proportion to the text.
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
# From the start of a word only: a try at each of its letters would take the square of its length.
_URL_USER = re.compile(r"(?i)(?<![a-z0-9+.-])([a-z0-9+.-]++://)[^/\s@]+@")


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Replace what looks like a credential, and each of `secrets`, by `[redacted]`.

    Covers the token shapes of the services an agent meets, private keys, bearer headers
    and user information in URLs.  It is a net, not a proof.
    """
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, REDACTED)
    for pattern in _PATTERNS:
        text = pattern.sub(REDACTED, text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return _URL_USER.sub(rf"\1{REDACTED}@", text)
