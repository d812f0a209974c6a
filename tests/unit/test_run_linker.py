"""Links to the threads of runs in private answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bot.slack.inbound.access import AccessPolicy
from bot.slack.inbound.run_linker import RunLinker
from bot.slack.views import blocks
from bot.slack.views.errors import private_message
from bot.slack.views.message import Message
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks, archive_url
from core.domain.actor import Role
from core.domain.errors import Unavailable
from core.domain.runs.snapshot import CardPlace

LINKS = ThreadLinks(archive_url=archive_url("https://acme.slack.com/"))
RUN_ID = "run_0a1b2c3d4e5f"
ADDRESS = "https://acme.slack.com/archives/C0BUILDS/p17695"


@dataclass
class Cards:
    """Finds the thread of one run."""

    is_unreachable: bool = False
    asked: list[Collection[str]] = field(default_factory=list)

    async def cards(self, run_ids: Collection[str], /) -> Mapping[str, CardPlace]:
        self.asked.append(run_ids)
        if self.is_unreachable:
            raise Unavailable("away", user_message="away")
        place = CardPlace(channel_id="C0BUILDS", message_ts="1769.5")
        return {one: place for one in run_ids if one == RUN_ID}


async def test_an_id_becomes_a_link_and_a_command_stays_a_command() -> None:
    words = f"Busy with `{RUN_ID}`: `/workflow kill {RUN_ID}` stops it; `run_ffffffffffff` is gone."

    linked = await RunLinker(Cards(), LINKS).linked(private_message(words))

    expected = words.replace(f"`{RUN_ID}`", f"<{ADDRESS}|{RUN_ID}>")
    assert linked.text == expected
    assert linked.blocks[0]["text"]["text"] == expected


async def test_a_row_whose_task_is_a_link_gets_no_second_one() -> None:
    row = f"<{ADDRESS}|Add x> · `{RUN_ID}`"
    message = Message(text="1 run", blocks=(blocks.section(row), blocks.context(f"`{RUN_ID}`")))

    linked = await RunLinker(Cards(), LINKS).linked(message)

    assert linked.blocks[0]["text"]["text"] == row
    assert linked.blocks[1]["elements"][0]["text"] == f"<{ADDRESS}|{RUN_ID}>"


async def test_code_blocks_and_texts_that_would_get_too_long_stay() -> None:
    fenced, long = f"```\n`{RUN_ID}`\n```", f"{'x' * 2980} `{RUN_ID}`"
    message = Message(text="x", blocks=(blocks.section(fenced), blocks.section(long)))

    assert await RunLinker(Cards(), LINKS).linked(message) == message


async def test_without_the_database_or_an_address_the_answer_goes_out_as_it_is() -> None:
    message = private_message(f"`{RUN_ID}`")

    assert await RunLinker(Cards(is_unreachable=True), LINKS).linked(message) == message
    assert await RunLinker(Cards(), NO_LINKS).linked(message) == message
    cards = Cards()
    await RunLinker(cards, LINKS).linked(private_message("nothing is named"))
    assert not cards.asked


def test_the_operators_to_ask_are_those_of_the_table_or_its_admins() -> None:
    listed = {Role.ADMIN: ("U0ADMIN",), Role.OPERATOR: ("*", "S0OPS", "U0OP")}

    assert AccessPolicy(roles=listed).operators == ("S0OPS", "U0OP")
    assert AccessPolicy(roles={Role.ADMIN: ("U0ADMIN",)}).operators == ("U0ADMIN",)
    assert AccessPolicy().operators == ()
