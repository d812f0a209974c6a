"""Errors of commands that act through the API.  Their texts say what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from core.domain.errors import BadRequest, OpsError, Unavailable


class BadArgument(BadRequest):
    """An argument of a command is not valid."""

    code = "bad_argument"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}", user_message=f"{name}: {problem}")
        self.name = name


class BadServerUrl(BadRequest):
    """`SIGNALBOX_URL` is no address of a server."""

    code = "bad_server_url"

    def __init__(self) -> None:
        super().__init__(
            "wrong SIGNALBOX_URL",
            user_message="SIGNALBOX_URL must be an http(s) URL without a user's name, like "
            "https://signalbox.example.com or http://127.0.0.1:8765.",
        )


class NoToken(OpsError):
    """There is no token for the server."""

    code = "no_token"

    def __init__(self, url: str, hint: str) -> None:
        super().__init__(f"no token for {url}", user_message=f"There is no token for {url}. {hint}")
        self.url = url


class ServerUnreachable(Unavailable):
    """The server did not answer.

    Attributes:
        url: The address that was tried.
        may_have_arrived: Whether the server may have read the request and acted on it.
    """

    code = "server_unreachable"

    def __init__(self, url: str, problem: str, *, may_have_arrived: bool) -> None:
        super().__init__(
            f"{url}: {problem}",
            user_message=f"No Signalbox answers at {url} ({problem}). Start one there with "
            "`signalbox up`, or set SIGNALBOX_URL to the address of yours.",
        )
        self.url = url
        self.may_have_arrived = may_have_arrived


class NotSignalbox(OpsError):
    """Something answers at the address that is no Signalbox."""

    code = "not_signalbox"

    def __init__(self, url: str, status: int) -> None:
        super().__init__(
            f"{url} answered {status}",
            user_message=f"What answers at {url} is no Signalbox with this API (HTTP status "
            f"{status}). Set SIGNALBOX_URL to the address of a `signalbox up` or `signalbox bot`.",
        )
        self.url = url
        self.status = status


# What the API calls a value, and what the person typed it as.
ARGUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "body.message": "TASK or MESSAGE",
        "body.repository_url": "--repo",
        "body.git_branch": "--branch",
        "body.model": "--model",
        "body.max_turns": "--turns",
        "body.additional_turns": "--turns",
        "body.budget_usd": "--budget",
        "body.timeout": "--timeout",
        "body.session_name": "--session",
        "body.name": "--rename",
        "body.priority": "--priority",
        "body.progress_every": "--progress",
        "body.reason": "REASON",
        "body.duration": "DURATION",
        "path.workflow_name": "WORKFLOW",
        "path.run_id": "RUN",
        "path.session_id": "SESSION",
        "path.alert_id": "ALERT",
        "query.workflow": "--workflow",
        "query.channel": "--channel",
        "query.limit": "--limit",
        "query.cursor": "--cursor",
    }
)

# What to do next, by the API's code of the error; `{…}` is a fact of the refusal.
_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "alert_not_found": "`signalbox alerts` lists them.",
        "already_ended": "`signalbox runs` shows how runs ended.",
        "role_too_low": "Ask an admin for a token with that role.",
        "run_not_found": "`signalbox runs` lists them.",
        "session_not_found": "`signalbox sessions` lists them.",
        "session_name_taken": "`signalbox sessions` shows them; `--close` frees a name.",
        "session_busy": "`signalbox logs -f {live_run_id}` follows it.",
        "unauthenticated": "This command used the token of {token_source}.",
    }
)


class ApiRefusal(OpsError):
    """The API refused a request, or failed to answer it: its own words, and what to do here.

    Attributes:
        status: The status of HTTP.
        api_code: The API's code of the error, such as `run_not_found`.
        details: Facts about the error, which depend on the code.
    """

    code = "api_refusal"

    def __init__(
        self,
        status: int,
        api_code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        token_source: str = "",
    ) -> None:
        facts = {"token_source": token_source, **(details or {})}
        for field, argument in ARGUMENTS.items():
            message = message.replace(f"{field}: ", f"{argument}: ")
        super().__init__(
            f"{status} {api_code}", user_message=f"{message} {_advice(api_code, facts)}".rstrip()
        )
        self.status = status
        self.api_code = api_code
        self.details = details or {}


class ApiUnavailable(ApiRefusal):
    """The API cannot answer just now, for example because the server's database is down."""

    code = "api_unavailable"


def _advice(api_code: str, facts: Mapping[str, Any]) -> str:
    try:
        return _ADVICE.get(api_code, "").format_map(facts)
    except KeyError:
        # A server of another version tells other facts.
        return ""
