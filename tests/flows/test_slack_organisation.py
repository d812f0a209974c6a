"""Enterprise Grid: members from other workspaces of the organisation, and who stays outside."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bot.sandbox.slack.organisation import OLGA, Organisation
from bot.sandbox.slack.people import OPERATORS
from bot.sandbox.slack.server import ACK_SECONDS, open_sandbox
from core.domain.actor import Role
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.limits import patient

IN_ONE_WORKSPACE = Organisation()
ORG_WIDE = Organisation(is_org_wide=True)


@pytest_asyncio.fixture(
    params=[(IN_ONE_WORKSPACE, "http"), (ORG_WIDE, "socket")], ids=["workspace", "org-wide"]
)
async def bot(request: pytest.FixtureRequest) -> AsyncIterator[RunningBot]:
    organisation, transport = request.param
    async with (
        open_sandbox(organisation=organisation, ack_timeout=patient(ACK_SECONDS)) as sandbox,
        open_bot(sandbox, FakeServices(), transport=transport) as opened,
    ):
        yield opened
        await sandbox.wait_until_idle()
        assert not sandbox.problems, sandbox.problems


async def started_by(bot: RunningBot, user: str) -> str:
    """The card of a run that this person started by a command."""
    human = bot.sandbox.human
    await human.slash("#builds", "/workflow", "run builder Add a button", user=user)
    card = await human.wait_for(
        lambda: next((m for m in human.messages("#builds") if m.get("bot_id")), None), what="card"
    )
    return str(card["ts"])


async def test_a_member_from_another_workspace_works_by_every_way(bot: RunningBot) -> None:
    human, services = bot.sandbox.human, bot.services

    ts = await started_by(bot, "olga")
    await human.click("#builds", ts, label="Kill", user="olga")
    await services.wait_until(lambda: services.kills, what="the kill")
    await human.say("#builds", "@signalbox run builder by a mention", user="olga")
    await human.say("@olga", "run builder in a direct message", user="olga")
    await services.wait_until(lambda: len(services.start_requests) == 3, what="three starts")
    note = await human.say("#builds", "Something to do", user="olga")
    await human.shortcut("run_on_message", "#builds", str(note["ts"]), user="olga")
    form = await human.wait_for(lambda: human.modal("olga"), what="the form")
    errors = await human.submit(str(form["id"]), {"Workflow": "implement"})
    await human.open_home("olga")
    await human.wait_for(lambda: human.home("olga"), what="the Home tab")

    assert errors is None
    await services.wait_until(lambda: len(services.start_requests) == 4, what="four starts")
    assert {start.task for start in services.start_requests} == {
        "Add a button", "by a mention", "in a direct message", "Something to do",
    }  # fmt: skip
    assert not services.refusals
    [user] = {run.user_id for run in services.runs.values() if run.user_id}
    assert services.users[user].slack_user_id == OLGA


@pytest.mark.parametrize(("user", "reason"), [("ron", "guest"), ("xenia", "stranger")])
async def test_guests_and_people_of_connected_organisations_stay_outside(
    bot: RunningBot, user: str, reason: str
) -> None:
    human, services = bot.sandbox.human, bot.services
    ts = await started_by(bot, "ada")

    await human.slash("#builds", "/workflow", "run builder x", user=user)
    await human.say("#builds", "@signalbox kill", thread_ts=ts, user=user)
    await human.click("#builds", ts, label="Kill", user=user)

    await services.wait_until(lambda: len(services.refusals) == 3, what="three refusals")
    assert {refusal[2] for refusal in services.refusals} == {reason}
    assert len(services.start_requests) == 1
    assert not services.kills


async def test_a_person_of_the_organisation_alone_is_a_member_only_of_an_app_for_all_of_it(
    bot: RunningBot,
) -> None:
    services, organisation = bot.services, bot.sandbox.workspace.organisation
    assert organisation is not None

    await bot.sandbox.human.slash("#builds", "/workflow", "run builder x", user="pia")

    await services.wait_until(lambda: services.refusals or services.start_requests)
    assert bool(services.start_requests) is organisation.is_org_wide
    assert [refusal[2] for refusal in services.refusals] == (
        [] if organisation.is_org_wide else ["stranger"]
    )


@pytest.mark.parametrize("organisation", [IN_ONE_WORKSPACE, ORG_WIDE], ids=["workspace", "org"])
async def test_a_user_group_gives_its_members_their_role(organisation: Organisation) -> None:
    async with open_sandbox(organisation=organisation) as sandbox:
        sandbox.workspace.groups[OPERATORS].members.append(OLGA)
        roles = {Role.RUNNER: (OPERATORS,)}
        async with open_bot(sandbox, FakeServices(), roles=roles) as bot:
            await sandbox.human.slash("#builds", "/workflow", "run builder x", user="olga")

            await bot.services.wait_until(lambda: bot.services.start_requests)
            assert not bot.services.refusals
