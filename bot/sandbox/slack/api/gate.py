"""The checks before a Web API method runs: token, scope, rate limit, arguments."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bot.sandbox.slack.api import agents, chat, conversations, files, users, views
from bot.sandbox.slack.api.call import Call, Handler, missing_scope
from bot.sandbox.slack.api.methods import METHODS, Method
from bot.sandbox.slack.api.rate_limits import RateLimits
from bot.sandbox.slack.errors import WebApiError, invalid
from bot.sandbox.slack.faults import Fault, Faults
from bot.sandbox.slack.state import Document, Workspace

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        **agents.HANDLERS,
        **chat.HANDLERS,
        **conversations.HANDLERS,
        **files.HANDLERS,
        **users.HANDLERS,
        **views.HANDLERS,
    }
)

# A correct app never gets these answers, so each is recorded as a problem.
APP_MISTAKES = frozenset(
    {
        "duplicate_external_id",
        "exchanged_trigger_id",
        "expired_trigger_id",
        "invalid_arguments",
        "invalid_auth",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_chunks",
        "invalid_cursor",
        "invalid_limit",
        "invalid_metadata_format",
        "invalid_name",
        "invalid_trigger_id",
        "invalid_types",
        "markdown_text_conflict",
        "metadata_too_large",
        "missing_scope",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "not_allowed_token_type",
        "not_authed",
        "not_enabled",
        "push_limit_reached",
        "unknown_method",
        "view_too_large",
    }
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to the caller.

    Attributes:
        connection_fault: An injected fault: "timeout" or "reset" when no answer is sent,
            "cut_body" when the answer breaks off.
        page: Text to send instead of JSON.
    """

    status: int
    body: Document
    headers: Mapping[str, str] = field(default_factory=dict)
    connection_fault: str | None = None
    page: str | None = None


class Gate:
    """Receives every call and checks its token.

    Attributes:
        names_scopes: Whether answers name the token's scopes, as Slack's do; servers that are only
            compatible with Slack may not.
        unknown_blocks: Types of blocks that are refused, as by servers that do not know them yet.
    """

    def __init__(
        self,
        *,
        workspace: Workspace,
        limits: RateLimits,
        faults: Faults,
        bot_token: str,
        app_token: str,
        url: str,
        extra_handlers: Mapping[str, Handler],
    ) -> None:
        self.workspace = workspace
        self.limits = limits
        self.faults = faults
        self.bot_token = bot_token
        self.app_token = app_token
        self.names_scopes = True
        self.unknown_blocks: frozenset[str] = frozenset()
        self._url = url
        self._handlers = {**HANDLERS, **extra_handlers}

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes granted to the bot token."""
        return self.workspace.manifest.scopes

    def call(self, method: str, args: Document, token: str) -> Answer:
        """Answer one call, log it, and report what a correct app would not do."""
        began = time.monotonic()
        fault = self.faults.take(
            method,
            str(args.get("channel") or args.get("channel_id") or ""),
            str(args.get("ts") or "") or None,
        )
        if fault is None and self.has_unknown_block(args):
            # No mistake of an app that sends something else then.
            fault = Fault(kind="invalid_blocks")
        if fault is None:
            answer = self._execute(method, args, token)
        elif fault.is_applied:
            answer = _faulty_answer(fault, self._execute(method, args, token))
        else:
            answer = _faulty_answer(fault)
            if fault.kind == "late":
                loop = asyncio.get_running_loop()
                loop.call_later(fault.seconds, self._execute, method, args, token)
        error = answer.connection_fault or (
            None if answer.body.get("ok") else str(answer.body.get("error"))
        )
        error = "page" if answer.page else error
        self.workspace.inspector.log(
            "api",
            method,
            status=0 if answer.connection_fault else answer.status,
            error=error,
            ms=(time.monotonic() - began) * 1000,
            request=args,
            response=answer.body,
        )
        if fault is None:
            self._report_problem(method, answer)
        return answer

    def has_unknown_block(self, args: Document) -> bool:
        """Whether some block is of a type that is refused."""
        given = args.get("blocks")
        if not self.unknown_blocks or not given:
            return False
        blocks = json.loads(given) if isinstance(given, str) else given
        return any(block.get("type") in self.unknown_blocks for block in blocks)

    def _report_problem(self, method: str, answer: Answer) -> None:
        error = answer.body.get("error")
        messages = answer.body.get("response_metadata", {}).get("messages", ())
        if error in APP_MISTAKES:
            needed = answer.body.get("needed")
            what = "; ".join(messages) or (f"needs {needed}" if needed else str(error))
            self.workspace.inspector.add_problem(str(error), method, what)
        for warning in str(answer.body.get("warning", "")).split(","):
            if warning == "message_truncated":
                self.workspace.inspector.add_problem(warning, method, "the text was cut")

    def _execute(self, method: str, args: Document, token: str) -> Answer:
        api_method = METHODS.get(method)
        headers = {"x-oauth-scopes": ",".join(sorted(self.scopes))} if self.names_scopes else {}
        if self.names_scopes and api_method is not None and api_method.scopes:
            headers["x-accepted-oauth-scopes"] = ",".join(sorted(api_method.scopes))
        warnings: list[str] = []
        try:
            api_method = self._authorize(method, token)
            call = Call(
                workspace=self.workspace,
                method=method,
                args=args,
                url=self._url,
                scopes=self.scopes,
                warnings=warnings,
            )
            channel = call.text("channel") or None
            now = self.workspace.clock.now()
            if wait := self.limits.retry_after(method, api_method.tier, channel, now):
                return _rate_limited(wait)
            _check_required(api_method, args)
            body = {"ok": True, **self._handlers[method](call)}
        except WebApiError as refused:
            return Answer(status=200, body=refused.document(), headers=headers)
        if warnings:
            body["warning"] = ",".join(warnings)
            body.setdefault("response_metadata", {})["warnings"] = warnings
        return Answer(status=200, body=body, headers=headers)

    def _authorize(self, method: str, token: str) -> Method:
        api_method = METHODS.get(method)
        if api_method is None:
            raise WebApiError("unknown_method", req_method=method)
        if not token:
            raise WebApiError("not_authed")
        if token not in (self.bot_token, self.app_token):
            raise WebApiError("invalid_auth")
        if api_method.is_for_app_token != (token == self.app_token):
            raise WebApiError("not_allowed_token_type")
        if api_method.scopes and not api_method.scopes & self.scopes:
            raise missing_scope(",".join(sorted(api_method.scopes)), self.scopes)
        return api_method


def _check_required(api_method: Method, args: Document) -> None:
    if missing := [name for name in api_method.required if args.get(name) in (None, "")]:
        raise invalid("invalid_arguments", [f"missing required field: {name}" for name in missing])


def _rate_limited(seconds: int | str) -> Answer:
    return Answer(
        status=429,
        body={"ok": False, "error": "ratelimited"},
        headers={"Retry-After": str(seconds)},
    )


def _faulty_answer(fault: Fault, applied: Answer | None = None) -> Answer:
    """The answer to a call with a fault; `applied` if it took effect nevertheless."""
    body = applied.body if applied is not None else {}
    if fault.kind == "429":
        return _rate_limited(fault.retry_after)
    if fault.kind == "page":
        return Answer(status=503, body=body, page="<html>We will be back soon.</html>")
    if fault.kind.isdecimal():
        return Answer(status=int(fault.kind), body={"ok": False, "error": "internal_error"})
    if fault.kind in ("timeout", "late"):
        return Answer(status=0, body=body, connection_fault="timeout")
    if fault.kind in ("reset", "lost_answer"):
        return Answer(status=0, body=body, connection_fault="reset")
    if fault.kind == "cut_body":
        return Answer(status=200, body=body, connection_fault="cut_body")
    return Answer(status=200, body={"ok": False, "error": fault.kind})
