"""What the commands about alerts and subscriptions do through the API, and what they print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.cli.client.alert_texts import (
    alert_text,
    alerts_text,
    ambiguous_words,
    subscriptions_text,
)
from bot.cli.client.api import ApiAnswer, ApiClient
from bot.cli.client.errors import ApiRefusal, BadArgument
from bot.cli.client.exit_codes import ExitCode
from bot.cli.client.output import note, say
from bot.words.times import parse_duration

_WHOLE_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_BEGINNING = re.compile(r"[0-9a-f-]{4,35}")
# A beginning of an id is looked for among so many open alerts: pages of the API's largest size.
_MAX_PAGES = 5
_PAGE = "200"


@dataclass(frozen=True, kw_only=True)
class AlertActs:
    """What commands about alerts do.

    Attributes:
        as_json: Whether to print the API's JSON, for programs, and nothing else on standard output.
    """

    client: ApiClient
    as_json: bool

    async def alerts(
        self, *, is_open: bool, kinds: Sequence[str], limit: int, cursor: str | None
    ) -> ExitCode:
        """List alerts."""
        query = [
            ("limit", str(limit)),
            *([("open", "true")] if is_open else []),
            *(("kind", kind) for kind in kinds),
            *([] if cursor is None else [("cursor", cursor)]),
        ]
        found = await self.client.get("/alerts", query)
        nothing = "No alert is open." if is_open and not kinds else "There is no such alert."
        self._print(found, alerts_text(found.body, now=datetime.now(UTC), nothing=nothing))
        return ExitCode.DONE

    async def acknowledge(self, target: str) -> ExitCode:
        """Take care of an alert."""
        return await self._act(target, "acknowledge", {})

    async def snooze(self, target: str, duration: str) -> ExitCode:
        """Leave an alert untold for a time."""
        if parse_duration(duration.strip()) is None:
            raise BadArgument("DURATION", "needs a time with its unit, like 30m, 2h or 1d.")
        return await self._act(target, "snooze", {"duration": duration.strip()})

    async def subscriptions(self, channel: str | None) -> ExitCode:
        """List what channels are told of."""
        query = [] if channel is None else [("channel", channel)]
        found = await self.client.get("/subscriptions", query)
        self._print(found, subscriptions_text(found.body, now=datetime.now(UTC)))
        return ExitCode.DONE

    async def _act(self, target: str, what: str, body: dict[str, Any]) -> ExitCode:
        """Do something with an alert; one that has ended stays as it is, and that is said."""
        alert_id = await self._find(target.strip().lower())
        after = await self.client.post(f"/alerts/{alert_id}/{what}", body)
        self._print(after, alert_text(after.body, now=datetime.now(UTC)))
        if not after.body.get("is_open"):
            note("It had ended already, so nothing was changed.")
        return ExitCode.DONE

    async def _find(self, target: str) -> str:
        """The id of an alert, from that or from the beginning of an open one's.

        Raises:
            BadArgument: If it can be no id, or begins several.
            ApiRefusal: If no open alert's id begins so.
        """
        if _WHOLE_ID.fullmatch(target):
            return target
        if not _BEGINNING.fullmatch(target):
            raise BadArgument("ALERT", "needs an alert's id, or at least 4 characters of it.")
        return only_one(target, await self._open_ids())

    async def _open_ids(self) -> list[str]:
        ids: list[str] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            more = [] if cursor is None else [("cursor", cursor)]
            page = await self.client.get("/alerts", [("open", "true"), ("limit", _PAGE), *more])
            ids += [str(one["alert_id"]) for one in page.body["alerts"]]
            cursor = page.body.get("next")
            if cursor is None:
                break
        return ids

    def _print(self, answer: ApiAnswer, text: str) -> None:
        say(answer.text if self.as_json else text)


def only_one(beginning: str, ids: Sequence[str]) -> str:
    """The one id that begins so.

    Raises:
        BadArgument: If several do.
        ApiRefusal: If none does.
    """
    found = [one for one in ids if one.startswith(beginning)]
    if not found:
        words = f"No open alert's id begins with `{beginning}`."
        raise ApiRefusal(404, "alert_not_found", words)
    if len(found) > 1:
        raise BadArgument("ALERT", ambiguous_words(beginning, found))
    return found[0]
