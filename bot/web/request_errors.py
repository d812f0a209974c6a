"""What can be wrong with a request before any service sees it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from core.domain.actor import Role
from core.domain.errors import BadRequest, Conflict, Forbidden, OpsError, Unavailable

# A request can be wrong at thousands of places, and nobody reads them all.
_MAX_PROBLEMS = 20
_MAX_PROBLEM_CHARS = 300


class InvalidRequest(BadRequest):
    """The path, the query or the body is not what the route reads.

    Attributes:
        problems: Each with the `field` that is wrong (`body.max_turns`) and what is wrong with it.
    """

    code = "invalid_request"

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        listed = problems[:_MAX_PROBLEMS]
        words = "; ".join(f"{field}: {problem}" for field, problem in listed[:3])
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        super().__init__(
            f"{len(problems)} wrong values",
            user_message=f"The request is not valid: {words}{more}.",
        )
        self.problems = [{"field": field, "problem": problem} for field, problem in listed]

    @classmethod
    def of(cls, error: ValidationError, place: str) -> InvalidRequest:
        """The same in our words; `place` is `path`, `query` or `body`."""
        return cls(
            [
                (
                    ".".join([place, *(_printable(str(part)) for part in found["loc"])]),
                    _printable(found["msg"]),
                )
                for found in error.errors(
                    include_url=False, include_context=False, include_input=False
                )
            ]
        )


class InvalidJson(BadRequest):
    """The body is not JSON, or holds what JSON has but no row can keep."""

    code = "invalid_json"

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"body is no JSON: {problem}", user_message=f"The body is not valid JSON: {problem}."
        )


class UnsupportedBody(BadRequest):
    """The body has a type or an encoding that the API does not read."""

    code = "unsupported_media_type"

    def __init__(self, what: str) -> None:
        super().__init__(
            "unsupported body",
            user_message=f"{what} Send JSON with the header `Content-Type: application/json`.",
        )


class KeyReused(Conflict):
    """An `Idempotency-Key` came before with another task."""

    code = "idempotency_key_reused"

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"key of {run_id} used again",
            user_message=f"This `Idempotency-Key` has started `{run_id}` with another task. Use a "
            "new key for a new task.",
        )
        self.run_id = run_id


class TooManyStreams(OpsError):
    """The token has as many streams and waits open as one may have."""

    code = "too_many_streams"

    def __init__(self, allowed: int) -> None:
        super().__init__(
            f"more than {allowed} streams of one token",
            user_message=f"This token has {allowed} streams open, which is the most it may have. "
            "Close one first.",
        )
        self.allowed = allowed


class StreamsFull(Unavailable):
    """This process has as many streams and waits open as it may have."""

    code = "streams_full"

    def __init__(self) -> None:
        super().__init__(
            "no place for another stream",
            user_message="This server has as many streams open as it may have. Try again later, "
            "or ask for the status instead.",
        )


class ServerStopping(Unavailable):
    """This process stops, and begins no stream any more."""

    code = "server_stopping"

    def __init__(self) -> None:
        super().__init__(
            "no stream while stopping",
            user_message="This server is being stopped. Try again in some seconds.",
        )


class RoleTooLow(Forbidden):
    """The token's role does not allow this route."""

    code = "role_too_low"

    def __init__(self, present: Role, needed: Role) -> None:
        names = present.name.lower(), needed.name.lower()
        super().__init__(
            f"role {names[0]} is below {names[1]}",
            user_message=f"This needs the role {names[1]}; the token's is {names[0]}.",
        )
        self.role, self.needed_role = names


def _printable(text: str) -> str:
    """A text that any JSON can hold: it may quote what was sent."""
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")[:_MAX_PROBLEM_CHARS]
