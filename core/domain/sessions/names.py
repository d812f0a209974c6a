"""Names of sessions: which are allowed, and when two of them are the same.  Pure."""

from __future__ import annotations

import re
import unicodedata

from core.domain.errors import BadRequest, Conflict, OutOfBounds

MAX_SESSION_NAME_CHARS = 80
# A name that begins like a flag or a number of turns could not be typed in a command.
_FIRST_OF_OTHERS = frozenset("-–—―+@#<>&")
# Controls, formats (no width), surrogates, private use, not assigned; line and paragraph ends.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LOOKS_LIKE_ID = re.compile(
    r"run_[0-9a-f]{1,12}|[0-9a-f]{12}|[0-9a-f]{32}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.IGNORECASE,
)


class BadSessionName(BadRequest):
    """A session cannot have this name."""

    code = "bad_session_name"

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            "session name not allowed",
            user_message=f"A session name {why}. Choose another one, such as `rate limits`.",
        )
        self.name = name


class SessionNameTaken(Conflict):
    """Another open session of the same owner has this name."""

    code = "session_name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(
            "session name taken",
            user_message=f"The name `{name}` belongs to another open session. Close that one, or "
            "choose another name.",
        )
        self.name = name


def clean_session_name(name: str) -> str:
    """The name as it is stored: composed letters, single spaces, none at its ends.

    Raises:
        OutOfBounds: If it has no character, or more than `MAX_SESSION_NAME_CHARS`.
        BadSessionName: If it has invisible characters, or could be mistaken for something else.
    """
    clean = " ".join(unicodedata.normalize("NFC", name).split())
    if not 0 < len(clean) <= MAX_SESSION_NAME_CHARS:
        raise OutOfBounds(
            "session_name",
            f"of {len(clean)} characters",
            user_message=f"A session name has 1 to {MAX_SESSION_NAME_CHARS} characters.",
        )
    if any(unicodedata.category(character) in _UNSEEN for character in clean):
        raise BadSessionName(clean, "has no invisible characters")
    if clean[0] in _FIRST_OF_OTHERS:
        raise BadSessionName(clean, f"does not begin with `{clean[0]}`")
    if "`" in clean:
        raise BadSessionName(clean, "has no backticks")
    if _LOOKS_LIKE_ID.fullmatch(clean):
        raise BadSessionName(clean, "does not look like the id of a run or a session")
    return clean


def session_name_key(name: str) -> str:
    """What two names have in common if they are the same: capitals and widths do not matter."""
    folded = unicodedata.normalize("NFKC", " ".join(name.split())).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())
