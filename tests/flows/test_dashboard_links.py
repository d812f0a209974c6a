"""Links to the dashboard from Slack."""

from __future__ import annotations

import re

from tests.flows.browsers import sign_in
from tests.harness import Harness, socket_harness

__all__ = ["socket_harness"]


async def test_slack_gives_each_person_a_link_of_their_own(socket_harness: Harness) -> None:
    harness = socket_harness

    async with harness.serving():
        answer = await harness.command_and_wait("dashboard", "Open the dashboard")
        found = re.search(r"http://127\.0\.0\.1:[0-9]+/sign-in\?key=[A-Za-z0-9_-]+", answer)
        assert found is not None, answer
        page = await sign_in(found[0])

    assert "SIGNALBOX_PUBLIC_URL" in answer
    assert "<strong>ada</strong>" in page
    assert "Nothing needs a person" in page
