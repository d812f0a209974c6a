"""The digest of a channel: a day or a week in numbers, with charts where Slack knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from bot.slack import dates, text
from bot.slack.mrkdwn import MRKDWN
from bot.slack.views import blocks
from bot.slack.views.chart_pictures import chart_pictures
from bot.slack.views.message import Block, Content, Message
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks
from bot.words import digests, times
from bot.words.runs.states import STATUS_ICONS
from core.domain.alerts.channels.subscription import DigestPeriod
from core.domain.alerts.posts.digest import Digest
from core.domain.alerts.posts.digest_figures import DigestFigures, SlowRun
from core.domain.runs.snapshot import CardPlace

# The slot of its only message.
DIGEST = "digest"
_TASK_LIMIT = 80
_FILTER_LIMIT = 100


@dataclass(frozen=True, kw_only=True)
class ShownDigest:
    """A digest with what its message needs.

    Attributes:
        cards: Where the threads of its runs are, by run id.
    """

    digest: Digest
    figures: DigestFigures
    cards: Mapping[str, CardPlace] = field(default_factory=dict)


def digest_message(shown: ShownDigest, links: ThreadLinks = NO_LINKS) -> Message:
    """Draw a digest.  Pure: the same digest is always the same message."""
    digest, figures = shown.digest, shown.figures
    lines = [
        *digests.run_lines(figures, digest.period, MRKDWN),
        digests.failure_line(figures, MRKDWN),
        digests.kill_line(figures, MRKDWN),
        digests.alert_line(figures, MRKDWN),
    ]
    drawn: list[Block] = [
        blocks.header(digests.TITLES[digest.period]),
        blocks.context(_period_words(digest, figures)),
        *blocks.paragraphs([line for line in lines if line]),
    ]
    if figures.slowest:
        slow = [_slow_line(run, shown.cards.get(run.run_id), links) for run in figures.slowest]
        drawn += blocks.paragraphs(["*Longest runs*", *slow])
    drawn += _charts(digest, figures)
    skipped = digests.skipped_line(figures)
    if skipped:
        drawn.append(blocks.context(f"⚠️ {skipped}"))
    return Message(text=digests.summary(figures, digest.period), blocks=tuple(drawn))


def digest_contents(shown: ShownDigest, links: ThreadLinks = NO_LINKS) -> dict[str, Content]:
    """The message, and pictures of its charts for a Slack that refuses them."""
    message = digest_message(shown, links)
    return {DIGEST: message, **chart_pictures(message.blocks)}


def _period_words(digest: Digest, figures: DigestFigures) -> str:
    words = f"{dates.date_time(digest.since)} to {dates.date_time(digest.until)}"
    restrictions = [
        f"{name} {shown}"
        for name, shown in (
            ("workflow", figures.workflow and text.one_line(figures.workflow, _FILTER_LIMIT)),
            ("repository", figures.repository and text.one_line(figures.repository, _FILTER_LIMIT)),
            ("owner", figures.owner and text.person(figures.owner, figures.owner)),
        )
        if shown
    ]
    return f"{words} · only {', '.join(restrictions)}" if restrictions else words


def _slow_line(run: SlowRun, card: CardPlace | None, links: ThreadLinks) -> str:
    about = text.one_line(run.about, _TASK_LIMIT) or f"`{run.run_id}`"
    took = times.duration(timedelta(seconds=run.seconds))
    workflow = text.one_line(run.workflow, _FILTER_LIMIT)
    return f"{STATUS_ICONS[run.status]} {took} · {links.to_thread(card, about)} · {workflow}"


def _charts(digest: Digest, figures: DigestFigures) -> list[Block]:
    """At most two: the outcomes compared with before, and the days of a week."""
    drawn: list[Block] = []
    if figures.runs.count or figures.before.count:
        now = digests.outcome_counts(figures.runs)
        before = digests.outcome_counts(figures.before)
        drawn.append(
            blocks.bar_chart(
                "Ended runs by outcome",
                list(now),
                {
                    digests.THIS_PERIOD[digest.period]: list(now.values()),
                    digests.BEFORE[digest.period].capitalize(): list(before.values()),
                },
                unit="runs",
            )
        )
    if digest.period is DigestPeriod.WEEKLY and figures.days:
        drawn.append(
            blocks.bar_chart(
                "Ended runs by day",
                [f"{one.day:%a} {one.day.day} {one.day:%b}" for one in figures.days],
                {
                    "Completed": [one.completed for one in figures.days],
                    "Unfinished": [one.failed for one in figures.days],
                    "Killed": [one.killed for one in figures.days],
                },
                unit="runs",
            )
        )
    return drawn
