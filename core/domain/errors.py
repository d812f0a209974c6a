"""Errors that reach a person: what happened, and what to do next."""


class OpsError(Exception):
    """An action that could not be done, for a reason a person can act on.

    Attributes:
        user_message: What the person sees: what happened and what to do next.  Holds no
            path, token or traceback.
        code: A stable word for programs (the `error` field of the API).
    """

    code = "error"

    def __init__(self, message: str, *, user_message: str) -> None:
        super().__init__(message)
        self.user_message = user_message


class BadRequest(OpsError):
    """What was asked cannot be understood or is out of bounds."""

    code = "bad_request"


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
