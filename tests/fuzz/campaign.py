"""A campaign: numbered cases, each reproducible by its seed and number, and what became of them."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from bot.sandbox.slack.delivery.request_url import sign
from bot.sandbox.slack.server import Sandbox
from tests.error_log import watched_log
from tests.fuzz.mutations import Request, mutated_frame, mutated_request
from tests.fuzz.raw import raw_request
from tests.fuzz.seeds import Seed, seeds
from tests.fuzz.target import Target
from tests.limits import limit

# Of ten cases: signed requests, frames of Socket Mode, raw bytes to any route.
_KINDS = ("signed",) * 7 + ("frame",) * 2 + ("raw",)
_AT_A_TIME = 8
_ANSWER_SECONDS = 30.0
_MAX_SHOWN = 20


@dataclass
class Outcome:
    """What became of a campaign.

    Attributes:
        statuses: The number of cases by kind and answer, such as "signed 400".
        failures: Answers of 500 or more, and missing ones, with the case's number.
        errors: Log records of errors, and all with a traceback.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing failed."""
        return not self.failures and not self.errors

    def lines(self) -> list[str]:
        """The figures, and the first of the failures and errors."""
        counted = [f"{what:>12}: {count}" for what, count in sorted(self.statuses.items())]
        return [
            *counted,
            f"answers of 500 or none: {len(self.failures)}",
            *self.failures[:_MAX_SHOWN],
            f"errors and tracebacks in the log: {len(self.errors)}",
            *self.errors[:_MAX_SHOWN],
        ]


async def run_campaign(
    target: Target,
    sandbox: Sandbox,
    *,
    count: int,
    seed: int,
    recorded: Path | None,
    first: int = 0,
) -> Outcome:
    """Send `count` cases, then check that both transports still work."""
    outcome, all_seeds, numbers = Outcome(), seeds(recorded), iter(range(first, first + count))

    async def work(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            chance = random.Random(f"{seed}:{number}")
            await _run_case(number, chance, session)

    async def _run_case(number: int, chance: random.Random, session: aiohttp.ClientSession) -> None:
        kind, chosen = chance.choice(_KINDS), chance.choice(all_seeds)
        if kind == "frame":
            answer = await _send_frame(sandbox, chosen, chance)
        elif kind == "raw":
            answer = await raw_request(target.url, chance, timeout=_ANSWER_SECONDS)
        else:
            request = mutated_request(chosen, chance)
            answer = await _post(session, target.url, sandbox.signing_secret, request)
        outcome.statuses[f"{kind} {answer}"] += 1
        if answer.startswith("5") or answer == "none":
            outcome.failures.append(f"case {number} ({kind}, {chosen.name}): {answer}")

    with watched_log(outcome.errors):
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for _ in range(_AT_A_TIME):
                group.create_task(work(session))
        await target.wait_until_idle()
        await _check_alive(target, sandbox)
        await target.wait_until_idle()
    # Forged triggers and channels are mistakes of the fuzzer, not of the app.
    sandbox.take_problems()
    return outcome


async def _post(session: aiohttp.ClientSession, url: str, secret: str, request: Request) -> str:
    timestamp = str(int(time.time())) if request.timestamp is None else request.timestamp
    right = sign(secret, timestamp, request.body)
    headers = {
        "Content-Type": request.content_type,
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": right if request.signature is None else request.signature,
    }
    if request.content_encoding is not None:
        headers["Content-Encoding"] = request.content_encoding
    data = _chunks(request.body) if request.is_chunked else io.BytesIO(request.body)
    try:
        async with (
            limit(_ANSWER_SECONDS),
            session.post(
                url + "/slack/events", data=data, headers=headers, compress=False
            ) as answer,
        ):
            await answer.read()
            return str(answer.status)
    except TimeoutError:
        return "none"


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


async def _send_frame(sandbox: Sandbox, seed: Seed, chance: random.Random) -> str:
    frame = mutated_frame(seed, chance)
    usable = [one for one in sandbox.sockets.connections if not one.is_draining]
    if not usable:
        await asyncio.sleep(0.1)
        return "not sent"
    await usable[0].socket.send_str(frame)
    return "sent"


async def _check_alive(target: Target, sandbox: Sandbox) -> None:
    """Both transports answer a command as before."""
    for events_url in (None, f"{target.url}/slack/events"):
        sandbox.events_url = events_url
        answer = await sandbox.human.slash("#builds", "/workflow", "help")
        assert answer.ok, answer
    assert urlsplit(target.url).port
