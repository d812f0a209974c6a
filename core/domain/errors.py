"""Errors that reach a person, whichever surface the person uses."""

from typing import ClassVar

from core.domain.failure_cause import FailureCause


class OpsError(Exception):
    """An action that could not be done, for a reason a person can act on.

    The facts are attributes.  What to do next in the words of a surface (a command to type, a
    button to press) is that surface's own: it has a table of advice by `code`.

    Attributes:
        code: A stable word for programs and for the tables of advice; each class has its own.
        user_message: What happened, in a sentence or two that hold on every surface: no command
            of one of them, no path of this machine, no token, no traceback.  Ids, names and other
            literals stand between backticks, as in Markdown.
        cause: The class of the failure if the error ends a run; `None` if it has none.
        subject: The name of what failed, for the title of such a run.
    """

    code: ClassVar[str] = "error"
    cause: FailureCause | None = None
    subject: str | None = None

    def __init__(self, message: str, *, user_message: str) -> None:
        super().__init__(message)
        self.user_message = user_message


class BadRequest(OpsError):
    """What was asked cannot be understood or is out of bounds."""

    code = "bad_request"


class OutOfBounds(BadRequest):
    """One of the values is outside of what is allowed.

    Attributes:
        field: The name of the value, as the request has it: `max_turns`, `timeout`, …
    """

    code = "out_of_bounds"

    def __init__(self, field: str, value: object, *, user_message: str) -> None:
        super().__init__(f"{field} {value}", user_message=user_message)
        self.field = field
        self.value = value


class NotFound(OpsError):
    """What was named does not exist, or not for this person."""

    code = "not_found"


class Forbidden(OpsError):
    """The person may not do this."""

    code = "forbidden"


class Conflict(OpsError):
    """The present state does not allow it, or somebody else was first."""

    code = "conflict"


class Unavailable(OpsError):
    """Something this depends on does not answer; trying again later may work."""

    code = "unavailable"


def unforeseen(error: Exception) -> Exception | None:
    """Return an error that no code has foreseen, whose log line needs a traceback.

    An `OpsError`, or a failure of the operating system (a timeout, a broken connection), says
    enough in its own words.
    """
    return None if isinstance(error, OpsError | OSError) else error
