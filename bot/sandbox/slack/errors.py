"""The sandbox's refusals: of API calls, and of people's actions."""

from typing import Any


class WebApiError(Exception):
    """The Web API's `{"ok": false}` with Slack's error code and its details.

    Attributes:
        error: Slack's error code.
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
    """An error about arguments, with JSON pointers to the invalid ones."""
    return WebApiError(
        error,
        errors=messages,
        response_metadata={"messages": [f"[ERROR] {message}" for message in messages]},
    )


class ActionRefused(Exception):
    """The error that Slack's client shows for an impossible action.

    Attributes:
        error: The code the client shows ("operation_timeout"), or the sandbox's own.
    """

    def __init__(self, error: str, what: str = "") -> None:
        super().__init__(f"{error}: {what}" if what else error)
        self.error = error
