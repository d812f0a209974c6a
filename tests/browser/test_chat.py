from __future__ import annotations

from playwright.async_api import Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.server import Sandbox
from tests.browser.conftest import ONE_LOOP, OpenPage
from tests.browser.locators import feed, message, reply, thread, write

pytestmark = ONE_LOOP

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


async def test_a_message_appears_on_an_open_page_of_another_person(open_page: OpenPage) -> None:
    ada, ben = await open_page(), await open_page(person="ben")

    await write(ada, "Morning, @ben")

    arrived = message(feed(ben), "Morning, @Ben Okafor")
    await expect(arrived).to_be_visible()
    await expect(arrived).to_contain_text("Ada Lind")


async def test_shift_enter_makes_a_new_line_and_enter_sends(page: Page) -> None:
    box = page.get_by_role("textbox", name="Message #builds")

    await box.press_sequentially("one")
    await box.press("Shift+Enter")
    await box.press_sequentially("two")
    await box.press("Enter")

    await expect(message(feed(page), "one").locator(".line")).to_have_text(["one", "two"])
    await expect(box).to_have_value("")


async def test_a_thread_opens_accepts_replies_and_closes_on_escape(page: Page) -> None:
    await write(page, "Who breaks the build?")
    root = message(feed(page), "Who breaks the build?")
    await root.hover()
    await root.get_by_role("button", name="Reply in thread").click()

    await reply(page, "Not me")

    await expect(message(thread(page), "Not me")).to_be_visible()
    await expect(message(feed(page), "Not me")).to_have_count(0)
    await expect(root.get_by_role("button", name="1 reply, open thread")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(thread(page)).to_be_hidden()


async def test_the_app_is_mentioned_in_a_thread_and_answers(page: Page) -> None:
    await write(page, "Look here")
    root = message(feed(page), "Look here")
    await root.hover()
    await root.get_by_role("button", name="Reply in thread").click()

    await reply(page, "@signalbox what now?")

    await expect(message(thread(page), "@Ada Lind, I received your message.")).to_be_visible()


async def test_a_name_is_completed_from_its_first_letters(page: Page) -> None:
    box = page.get_by_role("textbox", name="Message #builds")

    await box.press_sequentially("thanks @cl")
    await page.get_by_role("option", name="@cleo").click()

    await expect(box).to_have_value("thanks @cleo ")


async def test_a_visitor_can_act_as_another_person(page: Page) -> None:
    await page.get_by_role("button", name="You are: Ada Lind").click()
    await page.get_by_role("menuitem", name="Cleo Marsh").click()

    await expect(page.get_by_role("button", name="You are: Cleo Marsh")).to_be_visible()
    await write(page, "It is me")

    await expect(message(feed(page), "It is me")).to_contain_text("Cleo Marsh")


async def test_an_ephemeral_message_is_shown_to_its_person_only(
    open_page: OpenPage,
) -> None:
    ada, ben = await open_page(), await open_page(person="ben")

    await write(ada, "/workflow find")
    await expect(message(feed(ada), "No runs match find")).to_contain_text("Only visible to you")
    await write(ada, "all can read this")

    await expect(message(feed(ben), "all can read this")).to_be_visible()
    await expect(message(feed(ben), "No runs match")).to_have_count(0)


async def test_a_channel_is_marked_unread_until_it_is_opened(page: Page, sandbox: Sandbox) -> None:
    general = page.get_by_role("link", name="general")

    await sandbox.human.say("#general", "news", user="ben")

    await expect(general.get_by_role("img", name="unread")).to_be_visible()
    await general.click()
    await expect(message(feed(page, "general"), "news")).to_be_visible()
    await expect(general.get_by_role("img", name="unread")).to_have_count(0)


async def test_new_messages_do_not_scroll_a_reader_of_old_ones(
    page: Page, sandbox: Sandbox
) -> None:
    for number in range(30):
        await sandbox.human.say("#builds", f"old {number}\nand\nmore", user="ben")
    await expect(message(feed(page), "old 29")).to_be_in_viewport()
    await message(feed(page), "old 3").first.scroll_into_view_if_needed()

    await sandbox.human.say("#builds", "the newest", user="ben")

    await expect(message(feed(page), "the newest")).to_be_attached()
    await expect(message(feed(page), "the newest")).not_to_be_in_viewport()
    await page.get_by_role("button", name="New messages").click()
    await expect(message(feed(page), "the newest")).to_be_in_viewport()


async def test_the_page_catches_up_after_a_lost_stream(page: Page, sandbox: Sandbox) -> None:
    live = page.get_by_text("Live", exact=True)
    await expect(live).to_be_visible()

    # The page reconnects within half a second: an occasional poll would miss the change.
    await page.evaluate("""() => {
        const isLive = () => document.body.innerText.includes("Live");
        window.loss = new Promise((resolve) => {
            new MutationObserver(() => isLive() || resolve()).observe(document.body, {
                subtree: true, childList: true, characterData: true, attributes: true,
            });
        });
    }""")
    sandbox.stream.close()
    await page.evaluate("() => window.loss")
    await sandbox.human.say("#builds", "meanwhile", user="ben")

    await expect(message(feed(page), "meanwhile")).to_be_visible()
    await expect(live).to_be_visible()


async def test_a_reaction_is_added_and_counted(page: Page, sandbox: Sandbox) -> None:
    said = await sandbox.human.say("#builds", "done", user="ben")
    await sandbox.human.react("#builds", said["ts"], "tada", user="ben")
    done = message(feed(page), "done")

    await done.get_by_role("button", name="tada, 1").click()

    await expect(done.get_by_role("button", name="tada, 2")).to_have_attribute(
        "aria-pressed", "true"
    )


async def test_nobody_writes_in_an_archived_channel(open_page: OpenPage) -> None:
    page = await open_page("attic")

    await expect(page.get_by_text("#attic is archived: nobody can write here.")).to_be_visible()
    await expect(page.get_by_role("textbox", name="Message #attic")).to_be_hidden()


async def test_the_app_can_be_invited_to_a_channel_without_it(open_page: OpenPage) -> None:
    page = await open_page("random")

    await page.get_by_role("button", name="Invite @signalbox").click()

    await expect(page.get_by_text("signalbox is here")).to_be_visible()


async def test_a_phone_shows_one_column_at_a_time(open_page: OpenPage, sandbox: Sandbox) -> None:
    page = await open_page(**PHONE)
    await sandbox.human.say("#general", "on the phone", user="ben")

    await page.get_by_role("button", name="Open sidebar").tap()
    await page.get_by_role("link", name="general").tap()

    said = message(feed(page, "general"), "on the phone")
    await expect(said).to_be_in_viewport()
    await expect(page.get_by_role("link", name="general")).not_to_be_in_viewport()
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert wide is False


def _raw(text: str) -> dict[str, str]:
    return {"type": "raw_text", "text": text}


async def test_a_table_breaks_no_word_on_a_phone_and_the_page_stays_as_wide_as_the_screen(
    open_page: OpenPage, sandbox: Sandbox
) -> None:
    head = ("Workflow", "Runs", "Failed", "Cost", "Median duration", "Kill p99")
    body = ("implement", "120", "3", "$12.40", "4 min 10 s", "1.9 s")
    table = {"type": "table", "rows": [[*map(_raw, head)], [*map(_raw, body)]]}
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    builds = sandbox.workspace.channel("#builds")
    await client.chat_postMessage(channel=builds.id, text="stats", blocks=[table])

    page = await open_page(**PHONE)

    cells = page.get_by_role("table").locator("th, td")
    await expect(cells).to_have_count(12)
    # A word in two lines is two boxes for one range.
    broken = await cells.evaluate_all("""(cells) => cells.flatMap((cell) => {
        const node = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
        return [...node.data.matchAll(/\\S+/g)].filter((word) => {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            return range.getClientRects().length > 1;
        }).map((word) => word[0]);
    })""")
    assert broken == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_tools_of_a_message_cover_no_text_on_a_phone(
    open_page: OpenPage, sandbox: Sandbox
) -> None:
    long = "a line that is so long that it takes the whole width of a phone, and more than one line"
    for _ in range(2):
        await sandbox.human.say("#builds", long, user="ben")
    page = await open_page(**PHONE)
    touched = message(feed(page), long).last

    await touched.tap()
    tools = touched.get_by_role("group", name="Message tools")
    await expect(tools).to_be_visible()

    covered = await tools.evaluate("""(tools) => {
        const box = tools.getBoundingClientRect();
        return [...document.querySelectorAll(".message-body")].filter((text) => {
            const other = text.getBoundingClientRect();
            return box.top < other.bottom && other.top < box.bottom;
        }).length;
    }""")
    assert covered == 0
    await tools.get_by_role("button", name="Add reaction").tap()
    await expect(page.get_by_role("menu", name="Reactions")).to_be_visible()
