"""The rates at which Signalbox calls Slack's methods; they stay below Slack's own limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A limit of calls: `burst` at once, then `per_minute` evenly.

    The sum of both is at most what Slack allows in any 60 seconds.
    """

    per_minute: float
    burst: int


# Slack's tiers are lower bounds ("50+ per minute"); the margin absorbs network delays.
TIER_2 = Rate(per_minute=16, burst=3)
TIER_3 = Rate(per_minute=38, burst=10)
TIER_4 = Rate(per_minute=80, burst=15)
# A high sustained rate and a small burst: all live cards share this limit.
UPDATES = Rate(per_minute=44, burst=5)
# Slack accepts about 1 a second and short bursts; calls delayed by a second still fit.
POSTS_OF_CHANNEL = Rate(per_minute=54, burst=2)
# Slack gives no exact limit for a workspace ("several hundred messages per minute").  The burst is
# what one alert needs in many channels: each waits at most for its own limit.
POSTS_OF_WORKSPACE = Rate(per_minute=200, burst=60)

RATES: Mapping[str, Rate] = MappingProxyType(
    {
        "chat.postMessage": POSTS_OF_WORKSPACE,
        "chat.update": UPDATES,
        "chat.postEphemeral": TIER_4,
        "views.open": TIER_4,
        "views.update": TIER_4,
        "views.publish": TIER_4,
        "users.info": TIER_4,
        "files.getUploadURLExternal": TIER_4,
        "files.completeUploadExternal": TIER_4,
        "reactions.add": TIER_3,
        "conversations.info": TIER_3,
        "conversations.members": TIER_4,
        "conversations.open": TIER_3,
        "conversations.history": TIER_3,
        "conversations.replies": TIER_3,
        "usergroups.users.list": TIER_2,
    }
)
