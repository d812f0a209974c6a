"""The error boundary between Bolt and the listeners: acknowledge first, answer errors privately."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from slack_bolt.kwargs_injection.async_args import AsyncArgs

from bot.slack import ids
from bot.slack.commands.forms import BadForm
from bot.slack.inbound.access import Access
from bot.slack.inbound.answers import PrivateAnswers
from bot.slack.inbound.background_tasks import BackgroundTasks
from bot.slack.inbound.intake import Intake, Listener, first_input_block, request_of
from bot.slack.inbound.request import SlackRequest
from bot.slack.views.errors import error_message, error_words, unexpected_message
from core.domain.actor import Action, Actor
from core.domain.errors import OpsError
from core.domain.runs.errors import SessionBusy
from core.domain.workflow import UnknownWorkflow

log = logging.getLogger(__name__)

# This limits only how long a person waits for an answer: the bot renews its claim on a delivery
# for as long as it handles it (`Intake.keep_renewing`).
HANDLING_LIMIT = timedelta(seconds=25)
# A submitted form stays open this long, to show errors in it; Slack waits 3 s at most.
FORM_ERROR_WINDOW = timedelta(seconds=2.2)
# Slack shows an error under its field; a longer text pushes the form off the screen.
_FIELD_ERROR_LIMIT = 300

Handler = Callable[[SlackRequest, Actor], Awaitable[None]]


def _never(_: SlackRequest) -> bool:
    return False


class UnexpectedFailure(OpsError):
    """An unexpected exception in a handler; the log has it under `reference`."""

    code = "unexpected"

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"unforeseen failure {reference}", user_message=unexpected_message(reference).text
        )
        self.reference = reference


async def _always(_: SlackRequest) -> bool:
    return True


def _field_of(error: OpsError, request: SlackRequest) -> str:
    """The field of the start form that an error is about."""
    if isinstance(error, UnknownWorkflow):
        return ids.FIELD_WORKFLOW
    if isinstance(error, SessionBusy):
        return ids.FIELD_SESSION
    return first_input_block(request)


@dataclass(frozen=True)
class ErrorBoundary:
    """Makes Bolt listeners of handlers: acknowledge, admit the person, handle, answer errors.

    Bolt loses an acknowledgement if its listener fails within 10 ms afterwards, and Slack waits
    3 s at most.  So only `ack()` happens inside of Bolt; the work continues in a supervised task.
    """

    access: Access
    answers: PrivateAnswers
    intake: Intake
    background_tasks: BackgroundTasks

    def listener_for(
        self,
        handler: Handler,
        action: Action,
        *,
        is_quiet: Callable[[SlackRequest], bool] = _never,
        is_relevant: Callable[[SlackRequest], Awaitable[bool]] = _always,
    ) -> Listener:
        """A Bolt listener that acknowledges, then runs `handler` in the background.

        The person who acted sees an `OpsError` as its message, and any other exception as a
        reference to the log.

        Args:
            handler: Does the work.
            action: What the person wants, for the check of access.
            is_quiet: Whether errors are not shown, because the person asked for nothing.
            is_relevant: Whether the request needs handling at all; if not it is finished at once.
        """

        async def listener(args: AsyncArgs) -> None:
            request = request_of(args)
            await args.ack()
            self.background_tasks.start(
                self._handle(
                    handler, action, request, is_quiet=is_quiet(request), is_relevant=is_relevant
                ),
                name=f"slack {request.kind}",
            )

        return listener

    def form_listener_for(self, handler: Handler, action: Action) -> Listener:
        """A Bolt listener for a form, which shows errors in the form while it is open.

        After `FORM_ERROR_WINDOW` the form closes, and an error is answered privately.
        """

        async def listener(args: AsyncArgs) -> None:
            request = request_of(args)
            form_errors: asyncio.Future[Mapping[str, str]] = (
                asyncio.get_running_loop().create_future()
            )
            task = self.background_tasks.start(
                self._submit(handler, action, request, form_errors), name="slack form"
            )
            pending: set[asyncio.Future[Any]] = {task, form_errors}
            await asyncio.wait(
                pending,
                timeout=FORM_ERROR_WINDOW.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if form_errors.done():
                await args.ack(response_action="errors", errors=dict(form_errors.result()))
            else:
                # The form is closed now, and a later error is answered privately.
                form_errors.cancel()
                await args.ack()

        return listener

    def event_listener_for(self, handler: Callable[[SlackRequest], Awaitable[None]]) -> Listener:
        """A Bolt listener for an event that nobody acted in: no admission, no answer."""

        async def handle(request: SlackRequest) -> None:
            if self.access.installation.serves(request.origin):
                await handler(request)

        async def listener(args: AsyncArgs) -> None:
            request = request_of(args)
            await args.ack()
            self.background_tasks.start(
                self._handle_event(handle, request), name=f"slack {request.kind}"
            )

        return listener

    async def ignore(self, args: AsyncArgs) -> None:
        """Acknowledge a request that needs no handling."""
        await args.ack()
        request = request_of(args)
        if request.key is not None:
            self.background_tasks.start(self.intake.finish(request), name="slack ignored")

    async def _handle(
        self,
        handler: Handler,
        action: Action,
        request: SlackRequest,
        *,
        is_quiet: bool,
        is_relevant: Callable[[SlackRequest], Awaitable[bool]],
    ) -> None:
        error = await self._run_handler(handler, action, request, is_relevant)
        if error is not None and not is_quiet:
            await self.answers.send_private(request, error_message(error))
        await self.intake.finish(request)

    async def _handle_event(
        self, handle: Callable[[SlackRequest], Awaitable[None]], request: SlackRequest
    ) -> None:
        await self._caught(lambda: handle(request), request)
        await self.intake.finish(request)

    async def _submit(
        self,
        handler: Handler,
        action: Action,
        request: SlackRequest,
        form_errors: asyncio.Future[Mapping[str, str]],
    ) -> None:
        error = await self._run_handler(handler, action, request, _always)
        if error is not None:
            errors = (
                error.errors
                if isinstance(error, BadForm)
                else {_field_of(error, request): error_words(error)}
            )
            if form_errors.done():
                await self.answers.send_private(request, error_message(error))
            else:
                clipped = {block: text[:_FIELD_ERROR_LIMIT] for block, text in errors.items()}
                form_errors.set_result(clipped)
        await self.intake.finish(request)

    async def _run_handler(
        self,
        handler: Handler,
        action: Action,
        request: SlackRequest,
        is_relevant: Callable[[SlackRequest], Awaitable[bool]],
    ) -> OpsError | None:
        """Run the handler for a person who is admitted; return its error, if it has one."""

        async def run() -> None:
            if await is_relevant(request):
                actor = await self.access.admit(request, action)
                self.answers.remember(request)
                await handler(request, actor)

        return await self._caught(run, request)

    async def _caught(
        self, run: Callable[[], Awaitable[None]], request: SlackRequest
    ) -> OpsError | None:
        """Run something within `HANDLING_LIMIT`; return its error, or `None` after a success."""
        try:
            async with asyncio.timeout(HANDLING_LIMIT.total_seconds()):
                await run()
        except OpsError as error:
            log.info(
                "%s refused: %s",
                request.kind,
                error,
                extra={"event": "request.refused", "code": error.code, **request.log_fields},
            )
            return error
        except Exception:
            reference = secrets.token_hex(3)
            log.exception(
                "%s failed, ref %s",
                request.kind,
                reference,
                extra={"event": "request.failed", "reference": reference, **request.log_fields},
            )
            return UnexpectedFailure(reference)
        return None
