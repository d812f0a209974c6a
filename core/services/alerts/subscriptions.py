"""Subscriptions of channels: made, changed, muted, ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.definitions.catalog import Catalog
from core.domain.actor import Action, Actor, Origin
from core.domain.alerts.bounds import require_within_bounds
from core.domain.alerts.errors import BadSnooze
from core.domain.alerts.subscription import (
    MAX_MUTE,
    MAX_SUBSCRIPTIONS_PER_CHANNEL,
    Source,
    Subscription,
    SubscriptionFixed,
    SubscriptionNotFound,
    TooManySubscriptions,
)
from core.domain.runs.request import Place
from core.services.context import ServiceContext, audit_entry, require_permission
from core.store import audit
from core.store.alerts import episodes, subscriptions

_ONE_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class SubscriptionService:
    """Keeps the subscriptions of channels.

    All methods raise `Unavailable` if the database cannot be reached.  A surface has checked before
    that the person is in the channel.
    """

    context: ServiceContext
    catalog: Catalog

    async def require_subscribe(self, *, by: Actor) -> None:
        """Check that somebody may subscribe channels, before they are asked what to.

        Raises:
            NotAllowed: If they may not.
        """
        async with self.context.transaction():
            require_permission(by, Action.SUBSCRIBE)

    async def of_channel(self, place: Place, *, by: Actor) -> list[Subscription]:
        """The subscriptions of a channel, oldest first.

        Raises:
            NotAllowed: If the person may not view runs.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            return await subscriptions.of_channel(
                session, team_id=place.team_id, channel_id=place.channel_id
            )

    async def all(self, *, by: Actor) -> list[Subscription]:
        """All subscriptions, oldest first.

        Raises:
            NotAllowed: If the person may not view runs.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            return await subscriptions.active(session)

    async def get(self, subscription_id: UUID, *, by: Actor) -> Subscription:
        """One subscription.

        Raises:
            SubscriptionNotFound: If there is none.
            NotAllowed: If the person may not view runs.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            return await self._get(session, subscription_id)

    async def subscribe(self, wanted: Subscription, *, by: Actor) -> Subscription:
        """Add a subscription; the same one again changes nothing.

        Args:
            wanted: Its id, source, author and times are set here.
            by: The person or program.

        Raises:
            BadSubscription: If a value is out of bounds.
            BadQuietHours: If there is no such time zone.
            UnknownWorkflow: If it names an unknown workflow.
            TooManySubscriptions: If the channel has as many as it may have.
            NotAllowed: If the person may not subscribe channels.
        """
        now = self.context.clock()
        new = replace(
            self._checked(wanted),
            id=uuid4(),
            source=Source.SLACK if by.origin is Origin.SLACK else Source.API,
            created_at=now,
            created_by=by.name,
            created_by_id=by.user_id,
            updated_at=None,
            ended_at=None,
            ended_reason=None,
            muted_until=None,
            muted_by=None,
        )
        async with self.context.transaction() as session:
            require_permission(by, Action.SUBSCRIBE)
            # One at a time: two equal subscriptions that are made at once are one.
            await episodes.lock_evaluation(session)
            present = await subscriptions.of_channel(
                session, team_id=new.team_id, channel_id=new.channel_id
            )
            same = next((one for one in present if _wishes(one) == _wishes(new)), None)
            if same is not None:
                return same
            if len(present) >= MAX_SUBSCRIPTIONS_PER_CHANNEL:
                raise TooManySubscriptions(new.channel_id)
            await subscriptions.save(session, new)
            await self._audit(session, new, by, "subscribed")
        return new

    async def edit(self, changed: Subscription, *, by: Actor) -> Subscription:
        """Change what a subscription wants; its channel, source and author stay.

        Raises:
            BadSubscription, UnknownWorkflow, NotAllowed: As for `subscribe`.
            SubscriptionNotFound: If there is none with its id.
            SubscriptionFixed: If it comes from the configuration.
        """
        checked = self._checked(changed)
        async with self.context.transaction() as session:
            require_permission(by, Action.SUBSCRIBE)
            present = await self._changeable(session, checked.id)
            new = replace(
                checked,
                team_id=present.team_id,
                channel_id=present.channel_id,
                source=present.source,
                created_at=present.created_at,
                created_by=present.created_by,
                created_by_id=present.created_by_id,
                muted_until=present.muted_until,
                muted_by=present.muted_by,
                updated_at=self.context.clock(),
            )
            await subscriptions.save(session, new)
            await self._audit(session, new, by, "changed")
        return new

    async def mute(
        self, place: Place, *, duration: timedelta | None, by: Actor
    ) -> list[Subscription]:
        """Mute all subscriptions of a channel for a time, those of the configuration too.

        Args:
            place: The channel.
            duration: For how long; `None` ends a mute.
            by: The person or program.

        Raises:
            BadSnooze: If the duration is not from a minute to 30 days.
            SubscriptionNotFound: If the channel has no subscription.
            NotAllowed: If the person may not subscribe channels.
        """
        if duration is not None and not _ONE_MINUTE <= duration <= MAX_MUTE:
            raise BadSnooze(
                "duration", duration, user_message="Alerts can be muted for 1 minute to 30 days."
            )
        until = None if duration is None else self.context.clock() + duration
        async with self.context.transaction() as session:
            require_permission(by, Action.SUBSCRIBE)
            present = await subscriptions.of_channel(
                session, team_id=place.team_id, channel_id=place.channel_id, locks=True
            )
            if not present:
                raise SubscriptionNotFound(place.channel_id)
            muted = [
                replace(one, muted_until=until, muted_by=None if until is None else by.name)
                for one in present
            ]
            for one in muted:
                await subscriptions.save(session, one)
                await self._audit(session, one, by, "unmuted" if until is None else "muted")
        return muted

    async def unsubscribe(self, subscription_ids: Collection[UUID], *, by: Actor) -> None:
        """End subscriptions.

        Raises:
            SubscriptionNotFound: If one of them does not exist.
            SubscriptionFixed: If one comes from the configuration.
            NotAllowed: If the person may not subscribe channels.
        """
        now = self.context.clock()
        async with self.context.transaction() as session:
            require_permission(by, Action.SUBSCRIBE)
            for subscription_id in subscription_ids:
                present = await self._changeable(session, subscription_id)
                ended = replace(present, ended_at=now, ended_reason="unsubscribed")
                await subscriptions.save(session, ended)
                await self._audit(session, ended, by, "unsubscribed")

    async def end_of_channel(self, place: Place, *, reason: str) -> list[Subscription]:
        """End all subscriptions of a channel that is gone; returns them as they were.

        Args:
            place: The channel.
            reason: Slack's word: `channel_archived`, `bot_removed`, …
        """
        async with self.context.transaction() as session:
            return await subscriptions.end_of_channel(
                session,
                team_id=place.team_id,
                channel_id=place.channel_id,
                reason=reason,
                now=self.context.clock(),
            )

    async def sync_configured(self, configured: Sequence[Subscription]) -> None:
        """Make the subscriptions of the configuration those given; the others stay.

        One that is unchanged keeps its row, so that nothing is told twice after a restart.  Of
        several bots that start together, one comes after the other.

        Raises:
            BadSubscription: If a value is out of bounds.
            BadQuietHours: If there is no such time zone.
            UnknownWorkflow: If one names an unknown workflow.
        """
        wanted = [self._checked(one) for one in configured]
        now = self.context.clock()
        async with self.context.transaction() as session:
            await episodes.lock_evaluation(session)
            present = await subscriptions.of_source(session, Source.CONFIG)
            kept = {one.id for one in present if any(_wishes(one) == _wishes(w) for w in wanted)}
            for one in present:
                if one.id not in kept:
                    ended = replace(one, ended_at=now, ended_reason="unsubscribed")
                    await subscriptions.save(session, ended)
            for one in wanted:
                if not any(_wishes(one) == _wishes(known) for known in present):
                    new = replace(one, id=uuid4(), source=Source.CONFIG, created_at=now)
                    await subscriptions.save(session, new)

    def _checked(self, wanted: Subscription) -> Subscription:
        """The subscription with the workflow's real name, if all values are within bounds."""
        chosen = wanted.filter
        if chosen.workflow is not None:
            chosen = replace(chosen, workflow=self.catalog.get(chosen.workflow).name)
        require_within_bounds(wanted)
        quiet = wanted.quiet_hours
        if quiet is not None:
            quiet = replace(quiet, time_zone=wanted.time_zone)
        return replace(wanted, filter=chosen, quiet_hours=quiet)

    async def _get(
        self, session: AsyncSession, subscription_id: UUID, *, locks: bool = False
    ) -> Subscription:
        found = await subscriptions.get(session, subscription_id, locks=locks)
        if found is None:
            raise SubscriptionNotFound(str(subscription_id))
        return found

    async def _changeable(self, session: AsyncSession, subscription_id: UUID) -> Subscription:
        found = await self._get(session, subscription_id, locks=True)
        if found.source is Source.CONFIG:
            raise SubscriptionFixed(subscription_id)
        return found

    async def _audit(
        self, session: AsyncSession, subscription: Subscription, by: Actor, what: str
    ) -> None:
        await audit.record(
            session,
            audit_entry(
                by,
                Action.SUBSCRIBE,
                self.context.clock(),
                subscription=str(subscription.id),
                channel=subscription.channel_id,
                what=what,
            ),
        )


def _wishes(subscription: Subscription) -> Mapping[str, Any]:
    """What a subscription wants, without its id, author and times."""
    own = ("team_id", "channel_id", "kinds", "filter", "pending_for", "mention", "broadcasts",
           "time_zone", "quiet_hours", "digest", "digest_hour", "progress_every")  # fmt: skip
    return {name: getattr(subscription, name) for name in own}
