"""The border between Bolt and the listeners: acknowledged first, failures told in private."""

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
from bot.slack.inbound.answers import Answers
from bot.slack.inbound.intake import Intake, Listener, asked_of, first_input
from bot.slack.inbound.request import Asked
from bot.slack.inbound.supervised import Supervised
from bot.slack.views.errors import error_message, unexpected_message
from core.domain.actor import Action, Actor
from core.domain.errors import OpsError
from core.domain.runs.run import SessionBusy
from core.domain.workflow import UnknownWorkflow

log = logging.getLogger(__name__)

# However long it takes, the bot keeps its hold on the delivery (`Intake.keep_hold`): this only
# bounds how long a person waits for an answer.
HANDLING_LIMIT = timedelta(seconds=25)
# A form stays open this long for errors of its start; Slack closes the wait at 3 s.
FORM_PATIENCE = timedelta(seconds=2.2)
# Slack shows an error under its field; longer ones push the form off the screen.
_FIELD_ERROR_LENGTH = 300

Handler = Callable[[Asked, Actor], Awaitable[None]]


def _never(_: Asked) -> bool:
    return False


class Broken(OpsError):
    """Something failed that nobody foresaw; `reference` finds it in the log."""

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"unforeseen failure {reference}", user_message=unexpected_message(reference).text
        )


async def _always(_: Asked) -> bool:
    return True


def _field_of(error: OpsError, asked: Asked) -> str:
    """The field of the start form that an error is about."""
    if isinstance(error, UnknownWorkflow):
        return ids.FIELD_WORKFLOW
    if isinstance(error, SessionBusy):
        return ids.FIELD_SESSION
    return first_input(asked)


@dataclass(frozen=True)
class Desk:
    """Registers what listeners do, so that each is acknowledged, admitted and answered.

    Bolt loses an acknowledgement when its listener fails within 10 ms after giving it, and
    Slack's patience ends after 3 s: so nothing but `ack()` happens inside of Bolt, and the
    work goes on in a supervised task.
    """

    access: Access
    answers: Answers
    intake: Intake
    supervised: Supervised

    def answering(
        self,
        handler: Handler,
        action: Action,
        *,
        is_quiet: Callable[[Asked], bool] = _never,
        concerns: Callable[[Asked], Awaitable[bool]] = _always,
    ) -> Listener:
        """A Bolt listener that acknowledges, then lets `handler` do what was asked.

        An `OpsError` becomes its message; anything else a logged reference.  Both are seen
        by the person who acted only; and by nobody where they did not ask for anything
        (`is_quiet`).  What does not concern us (`concerns`) is finished at once.
        """

        async def listener(args: AsyncArgs) -> None:
            asked = asked_of(args)
            await args.ack()
            self.supervised.start(
                self._handle(handler, action, asked, is_quiet=is_quiet(asked), concerns=concerns),
                name=f"slack {asked.via}",
            )

        return listener

    def submitting(self, handler: Handler, action: Action) -> Listener:
        """A Bolt listener for a form: what is wrong is shown in the form, if it shows in time.

        A failure that takes longer closes the form and is told like any other.
        """

        async def listener(args: AsyncArgs) -> None:
            asked = asked_of(args)
            refused: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
            task = self.supervised.start(
                self._submit(handler, action, asked, refused), name="slack form"
            )
            waited: set[asyncio.Future[Any]] = {task, refused}
            await asyncio.wait(
                waited,
                timeout=FORM_PATIENCE.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if refused.done():
                await args.ack(response_action="errors", errors=dict(refused.result()))
            else:
                # From here on the form is closed, and an error is told in the channel.
                refused.cancel()
                await args.ack()

        return listener

    async def ignore(self, args: AsyncArgs) -> None:
        """Acknowledge what nothing is to be done about."""
        await args.ack()
        asked = asked_of(args)
        if asked.key is not None:
            self.supervised.start(self.intake.finish(asked), name="slack ignored")

    async def _handle(
        self,
        handler: Handler,
        action: Action,
        asked: Asked,
        *,
        is_quiet: bool,
        concerns: Callable[[Asked], Awaitable[bool]],
    ) -> None:
        error = await self._attempt(handler, action, asked, concerns)
        if error is not None and not is_quiet:
            await self.answers.privately(asked, error_message(error))
        await self.intake.finish(asked)

    async def _submit(
        self,
        handler: Handler,
        action: Action,
        asked: Asked,
        refused: asyncio.Future[Mapping[str, str]],
    ) -> None:
        error = await self._attempt(handler, action, asked, _always)
        if error is not None:
            errors = (
                error.errors
                if isinstance(error, BadForm)
                else {_field_of(error, asked): error.user_message}
            )
            if refused.done():
                await self.answers.privately(asked, error_message(error))
            else:
                clipped = {block: text[:_FIELD_ERROR_LENGTH] for block, text in errors.items()}
                refused.set_result(clipped)
        await self.intake.finish(asked)

    async def _attempt(
        self,
        handler: Handler,
        action: Action,
        asked: Asked,
        concerns: Callable[[Asked], Awaitable[bool]],
    ) -> OpsError | None:
        """Do it; answers why it did not work."""
        try:
            async with asyncio.timeout(HANDLING_LIMIT.total_seconds()):
                if await concerns(asked):
                    actor = await self.access.admit(asked, action)
                    await handler(asked, actor)
        except OpsError as error:
            log.info("%s refused: %s", asked.via, error)
            return error
        except Exception:
            reference = secrets.token_hex(3)
            log.exception("%s failed, ref %s", asked.via, reference)
            return Broken(reference)
        return None
