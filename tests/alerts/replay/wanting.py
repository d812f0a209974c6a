"""What the subscriptions of a replay want, and when it is quiet for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.alerts.replay.channels import ALL
from tests.alerts.replay.expected_alerts import Expected
from tests.alerts.replay.sampling import Seen

USUAL = set(ALL) - {"completed", "killed", "long_running"}


def wants(
    wishes: Mapping[str, Any], alert: Expected, seen: Seen, now: datetime, number: int
) -> bool:
    """Whether a subscription wants an alert at a tick."""
    kind, of_what, _ = alert.key
    if kind not in wishes.get("kinds", USUAL) or seen.severity < wishes.get("severity", 1):
        return False
    workflow = wishes.get("workflow")
    if workflow is not None and seen.workflow is not None and seen.workflow != workflow:
        return False
    if of_what == "run" and not _is_about(wishes, kind, seen):
        return False
    if "for_seconds" not in wishes or alert.happened_once_at(number):
        return True
    lasted = now - alert.opened_at >= timedelta(seconds=wishes["for_seconds"])
    return lasted and alert.is_open_after(now)


def _is_about(wishes: Mapping[str, Any], kind: str, seen: Seen) -> bool:
    repository = wishes.get("repository")
    if repository is not None and repository not in (seen.repository or ""):
        return False
    if "owner" in wishes and seen.owner != wishes["owner"]:
        return False
    least = wishes.get("least_cents", 1000 if kind == "cost" else 0)
    return bool(seen.cents >= least)


def quiet_until(wishes: Mapping[str, Any], now: datetime) -> datetime | None:
    """When it is no longer quiet: the clock on the wall is asked for each minute."""
    if "quiet" not in wishes:
        return None
    start, end = wishes["quiet"].split("-")
    zone = ZoneInfo(wishes["zone"])

    def is_quiet(moment: datetime) -> bool:
        wall = moment.astimezone(zone).strftime("%H:%M")
        return start <= wall < end if start < end else not end <= wall < start

    if not is_quiet(now):
        return None
    moment = now.replace(second=0, microsecond=0)
    while is_quiet(moment):
        moment += timedelta(minutes=1)
    return moment
