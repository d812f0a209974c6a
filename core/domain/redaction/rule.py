"""What every rule of the redaction is: a name and a function from text to text."""

from collections.abc import Callable
from dataclasses import dataclass

REDACTED = "[redacted]"

# Where a token may begin: after anything that is no letter or digit, and after the end of an
# escape sequence, whose last character is one: `\n`, `\u001b`, `[31m` (a colour) and `%3D`.
START = (
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u00[0-9A-Fa-f]{2})|(?<=[0-9;\[]m)"
    r"|(?<=%[0-9A-Fa-f]{2}))"
)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of credential.

    Attributes:
        name: What it finds; for measurements.
        apply: Replaces what it finds.  It takes linear time for every text, since texts can be
            anything and the event loop waits.
    """

    name: str
    apply: Callable[[str], str]
