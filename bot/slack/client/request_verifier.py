"""The check that a request over HTTP comes from Slack, is fresh, and arrived only once."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

# Slack's rule: an older request must be refused, since it may be a replay.
MAX_AGE_SECONDS = 300
# A little longer than a signature is valid, so that no request can be replayed.
_REPLAY_SECONDS = 360
_MAX_SIGNATURES = 20_000
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)


class RefusalReason(StrEnum):
    """Why a request was refused, for the log."""

    MISSING_HEADER = "missing_header"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a reason, not a secret
    WRONG_CLOCK = "wrong_clock"
    REPLAY = "replay"


@dataclass(frozen=True)
class Refusal:
    """A refused request.

    Attributes:
        status: The answer; 200 for a duplicate, which Slack must not send again.
        words: What is wrong and, if somebody can mend it, how.
    """

    status: HTTPStatus
    reason: RefusalReason
    words: str


class RequestVerifier:
    """Checks of a request before Bolt sees it.

    Bolt alone is not enough.  It answers 500 to a malformed timestamp or broken JSON before it
    checks the signature, logs the body of a wrongly signed request, and accepts replays.
    """

    def __init__(self, signing_secret: str, *, now: Callable[[], float]) -> None:
        """`now` is the wall clock in Unix seconds."""
        if not signing_secret:
            raise ValueError("an empty signing secret would let everybody in")
        self._secret = signing_secret.encode()
        self._now = now
        self._seen: OrderedDict[str, float] = OrderedDict()

    def check_headers(self, *, timestamp: str, signature: str) -> Refusal | None:
        """Check what needs no body; cheap, for requests of anybody."""
        for name, value in (
            ("X-Slack-Request-Timestamp", timestamp),
            ("X-Slack-Signature", signature),
        ):
            if not value:
                return Refusal(
                    HTTPStatus.UNAUTHORIZED,
                    RefusalReason.MISSING_HEADER,
                    f"it has no {name}, so it is not from Slack, or a proxy removed the header",
                )
        if not _TIMESTAMP.fullmatch(timestamp):
            return Refusal(
                HTTPStatus.BAD_REQUEST, RefusalReason.MALFORMED, "its timestamp is not a number"
            )
        if not _SIGNATURE.fullmatch(signature):
            return Refusal(
                HTTPStatus.UNAUTHORIZED,
                RefusalReason.MALFORMED,
                "its signature is malformed",
            )
        return None

    def check(self, *, timestamp: str, signature: str, body: bytes) -> Refusal | None:
        """Check the signature of the bytes; `None` accepts the request, but only once.

        The signature comes before the age: only then the age says something about the clock.
        """
        refusal = self.check_headers(timestamp=timestamp, signature=signature)
        if refusal is not None:
            return refusal
        signed = b"v0:" + timestamp.encode() + b":" + body
        expected = "v0=" + hmac.new(self._secret, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            return Refusal(
                HTTPStatus.UNAUTHORIZED,
                RefusalReason.WRONG_SECRET,
                "it is not signed with SLACK_SIGNING_SECRET: if it came from Slack, copy the "
                "secret again from the app's Basic Information",
            )
        now = self._now()
        age = now - int(timestamp)
        if abs(age) > MAX_AGE_SECONDS:
            return Refusal(HTTPStatus.UNAUTHORIZED, RefusalReason.WRONG_CLOCK, _clock_words(age))
        self._drop_expired(now)
        if signature in self._seen:
            return Refusal(
                HTTPStatus.OK, RefusalReason.REPLAY, "the same request was received before"
            )
        self._seen[signature] = now
        return None

    def allow_retry(self, signature: str) -> None:
        """Accept the same request again, since it was not handled."""
        self._seen.pop(signature, None)

    def _drop_expired(self, now: float) -> None:
        while self._seen:
            signature, at = next(iter(self._seen.items()))
            if now - at <= _REPLAY_SECONDS and len(self._seen) < _MAX_SIGNATURES:
                return
            del self._seen[signature]


def _clock_words(age: float) -> str:
    if age > 0:
        return (
            f"its signature is right, but its time is {age:.0f} s behind this machine's clock: "
            "check that clock (is it fast?); if it is right, an old request was sent again"
        )
    return (
        f"its signature is right, but its time is {-age:.0f} s ahead of this machine's clock: "
        "check that clock, it is slow"
    )
