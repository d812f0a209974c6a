"""How the sandbox says no."""

from typing import Any


class WebApiError(Exception):
    """The Web API's `{"ok": false}`: Slack's error word and what goes with it.

    Attributes:
        error: Slack's name of the error.
        detail: Further fields of the answer: `needed`, `errors`, `response_metadata`…
    """

    def __init__(self, error: str, **detail: Any) -> None:
        super().__init__(error)
        self.error = error
        self.detail = detail

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"ok": False, "error": self.error, **self.detail}


def invalid(error: str, messages: list[str]) -> WebApiError:
    """An error about arguments, with Slack's pointers to what is wrong."""
    return WebApiError(
        error,
        errors=messages,
        response_metadata={"messages": [f"[ERROR] {message}" for message in messages]},
    )


class ActionRefused(Exception):
    """What Slack's client shows a person who tried something that does not work.

    Attributes:
        error: The word the client shows ("operation_timeout"), or the sandbox's own.
    """

    def __init__(self, error: str, what: str = "") -> None:
        super().__init__(f"{error}: {what}" if what else error)
        self.error = error
