"""Subscriptions of channels: made, changed, muted, ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.definitions.catalog import Catalog
from core.domain.actor import REQUIRED_ROLES, Action, Actor, Origin, Role, is_allowed
from core.domain.alerts.channels.subscription import (
    MAX_MUTE,
    MAX_SUBSCRIPTIONS_PER_CHANNEL,
    MIN_MUTE,
    Source,
    Subscription,
    SubscriptionFixed,
    SubscriptionNotFound,
    TooManySubscriptions,
)
from core.domain.alerts.detectors.limits import COST_LIMIT_USD
from core.domain.alerts.errors import BadSnooze
from core.domain.runs.request import Place
from core.services.alerts.lists import tell_earlier
from core.services.alerts.wanted import checked, is_same
from core.services.context import ServiceContext, audit_entry, require_permission
from core.store import audit
from core.store.alerts import episodes, subscriptions


@dataclass(frozen=True)
class SubscriptionService:
    """Keeps the subscriptions of channels.

    All methods raise `Unavailable` if the database cannot be reached.  A surface has checked before
    that the person is in the channel.

    Attributes:
        least_role: The lowest role that may make, change, mute and end subscriptions.
        cost_limit: The team's limit for `cost`, in US dollars.
    """

    context: ServiceContext
    catalog: Catalog
    least_role: Role = REQUIRED_ROLES[Action.SUBSCRIBE]
    cost_limit: Decimal = COST_LIMIT_USD

    def may_subscribe(self, *, by: Actor) -> bool:
        """Whether somebody may subscribe channels."""
        return is_allowed(by, Action.SUBSCRIBE) and by.role >= self.least_role

    async def require_subscribe(self, *, by: Actor) -> None:
        """Check that somebody may subscribe channels, before they are asked what to.

        Raises:
            NotAllowed: If they may not.
        """
        async with self.context.transaction():
            self._require_subscribe(by)

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
            checked(self.catalog, wanted),
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
            self._require_subscribe(by)
            # One at a time: two equal subscriptions that are made at once are one.
            await episodes.lock_evaluation(session)
            present = await subscriptions.of_channel(
                session, team_id=new.team_id, channel_id=new.channel_id
            )
            same = next((one for one in present if is_same(one, new)), None)
            if same is not None:
                return same
            if len(present) >= MAX_SUBSCRIPTIONS_PER_CHANNEL:
                raise TooManySubscriptions(new.channel_id)
            await subscriptions.save(session, new)
            await tell_earlier(session, new, now, cost_limit=self.cost_limit)
            await self._audit(session, new, by, "subscribed")
        return new

    async def edit(self, changed: Subscription, *, by: Actor) -> Subscription:
        """Change what a subscription wants; its channel, source and author stay.

        Raises:
            BadSubscription, UnknownWorkflow, NotAllowed: As for `subscribe`.
            SubscriptionNotFound: If there is none with its id.
            SubscriptionFixed: If it comes from the configuration.
        """
        wanted = checked(self.catalog, changed)
        now = self.context.clock()
        async with self.context.transaction() as session:
            self._require_subscribe(by)
            await episodes.lock_evaluation(session)
            present = await self._changeable(session, wanted.id)
            new = replace(
                wanted,
                team_id=present.team_id,
                channel_id=present.channel_id,
                source=present.source,
                created_at=present.created_at,
                created_by=present.created_by,
                created_by_id=present.created_by_id,
                muted_until=present.muted_until,
                muted_by=present.muted_by,
                updated_at=now,
            )
            await subscriptions.save(session, new)
            await tell_earlier(session, new, now, cost_limit=self.cost_limit)
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
        if duration is not None and not MIN_MUTE <= duration <= MAX_MUTE:
            raise BadSnooze(
                "duration", duration, user_message="Alerts can be muted for 1 minute to 30 days."
            )
        until = None if duration is None else self.context.clock() + duration
        async with self.context.transaction() as session:
            self._require_subscribe(by)
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
            self._require_subscribe(by)
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
        wanted = [checked(self.catalog, one) for one in configured]
        now = self.context.clock()
        async with self.context.transaction() as session:
            await episodes.lock_evaluation(session)
            present = await subscriptions.of_source(session, Source.CONFIG)
            kept = {one.id for one in present if any(is_same(one, w) for w in wanted)}
            for one in present:
                if one.id not in kept:
                    ended = replace(one, ended_at=now, ended_reason="unsubscribed")
                    await subscriptions.save(session, ended)
            for one in wanted:
                if not any(is_same(one, known) for known in present):
                    new = replace(one, id=uuid4(), source=Source.CONFIG, created_at=now)
                    await subscriptions.save(session, new)
                    await tell_earlier(session, new, now, cost_limit=self.cost_limit)

    def _require_subscribe(self, by: Actor) -> None:
        require_permission(by, Action.SUBSCRIBE, least_role=self.least_role)

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
