"""Injected faults have the named effect on the intended calls only."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from bot.sandbox.slack.faults import Fault, Faults
from bot.sandbox.slack.people import BUILDS, GENERAL
from bot.sandbox.slack.server import Sandbox
from tests.flows.sandbox_clients import http
from tests.sandbox import sandbox

__all__ = ["http", "sandbox"]


async def post(
    sandbox: Sandbox,
    http: aiohttp.ClientSession,
    text: str,
    channel: str = BUILDS,
    *,
    timeout: float = 10,
) -> tuple[int, str]:
    """Post a message; returns the status and body of the answer."""
    form = {"channel": channel, "token": sandbox.bot_token, "text": text}
    limit = aiohttp.ClientTimeout(total=timeout)
    url = sandbox.api_url + "chat.postMessage"
    async with http.post(url, data=form, timeout=limit) as answer:
        return answer.status, await answer.text()


def channel_texts(sandbox: Sandbox) -> list[str]:
    return [each["text"] for each in sandbox.human.messages("#builds")]


@pytest.mark.parametrize("kind", ["lost_answer", "cut_body"])
async def test_a_call_whose_answer_is_cut_was_applied(
    sandbox: Sandbox, http: aiohttp.ClientSession, kind: str
) -> None:
    sandbox.faults.add("chat.postMessage", kind)

    with pytest.raises(aiohttp.ClientError):
        await post(sandbox, http, "done")

    assert channel_texts(sandbox) == ["done"]


@pytest.mark.parametrize("is_applied", [True, False])
@pytest.mark.parametrize(
    "failure",
    [("503", 503, "internal_error"), ("page", 503, "<html>"), ("fatal_error", 200, "fatal_error")],
)
async def test_a_failing_call_may_have_been_applied(
    sandbox: Sandbox,
    http: aiohttp.ClientSession,
    failure: tuple[str, int, str],
    is_applied: bool,
) -> None:
    kind, status, words = failure
    sandbox.faults.add("chat.postMessage", kind, is_applied=is_applied)

    answer = await post(sandbox, http, "done")

    assert (answer[0], words in answer[1]) == (status, True)
    assert channel_texts(sandbox) == (["done"] if is_applied else [])


async def test_a_call_can_be_applied_late(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    sandbox.faults.add("chat.postMessage", "late", seconds=2)

    with pytest.raises(TimeoutError):
        await post(sandbox, http, "late", timeout=0.3)

    assert channel_texts(sandbox) == []
    await sandbox.human.wait_for(
        lambda: channel_texts(sandbox) == ["late"], what="the late message"
    )


async def test_a_fault_of_one_channel_spares_the_others(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    sandbox.faults.add("chat.postMessage", "429", channel=BUILDS)
    await sandbox.human.invite("#general")

    assert (await post(sandbox, http, "x", GENERAL))[0] == 200
    assert (await post(sandbox, http, "x"))[0] == 429


def test_the_same_seed_draws_the_same_faults() -> None:
    def draw_faults(seed: int) -> list[Any]:
        faults = Faults()
        faults.inject_randomly(seed=seed, rate=0.3, faults=[Fault(kind="500"), Fault(kind="reset")])
        return [faults.take("chat.update") for _ in range(200)]

    assert draw_faults(1) == draw_faults(1)
    assert draw_faults(1) != draw_faults(2)
    assert 30 < sum(fault is not None for fault in draw_faults(1)) < 90


async def test_a_fault_can_last_and_can_be_of_one_message(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    async def inject(**fault: object) -> None:
        async with http.post(f"{sandbox.url}/_emu/faults", json=fault) as answer:
            assert answer.status == 200

    async def update(ts: str) -> tuple[str | None, str | None]:
        form = {"channel": BUILDS, "token": sandbox.bot_token, "text": "new", "ts": ts}
        async with http.post(sandbox.api_url + "chat.update", data=form) as answer:
            return (await answer.json()).get("error"), answer.headers.get("Retry-After")

    for text in ("first", "second"):
        await post(sandbox, http, text)
    first, second = (str(each["ts"]) for each in sandbox.human.messages("#builds"))
    await inject(method="chat.update", kind="cant_update_message", times=2, ts=first)

    assert await update(second) == (None, None)
    assert [await update(first) for _ in range(2)] == [("cant_update_message", None)] * 2
    assert await update(first) == (None, None)

    await inject(method="chat.update", kind="429", lasts=600)
    assert await update(first) == ("ratelimited", "600")
    sandbox.clock.advance(500)
    assert int((await update(second))[1] or 0) <= 100
    sandbox.clock.advance(101)
    assert await update(first) == (None, None)

    await inject(method="chat.update", kind="429", retry_after="soon")
    assert await update(first) == ("ratelimited", "soon")
