from __future__ import annotations

from typing import Any

from playwright.async_api import Locator, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.server import Sandbox
from bot.slack.views.blocks import bar_chart
from tests.browser.conftest import ONE_LOOP, OpenPage
from tests.browser.locators import feed, message, thread, write

pytestmark = ONE_LOOP

ELEMENTS: list[dict[str, Any]] = [
    {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [
                    {"type": "text", "text": "strong", "style": {"bold": True}},
                    {"type": "user", "user_id": "U0BEN00002"},
                ],
            },
            {
                "type": "rich_text_list",
                "style": "bullet",
                "elements": [
                    {"type": "rich_text_section", "elements": [{"type": "text", "text": "item"}]}
                ],
            },
        ],
    },
    {"type": "divider"},
    {
        "type": "image",
        "image_url": "https://pictures.example/a.png",
        "alt_text": "A chart of runs",
    },
]


async def test_a_dangerous_button_asks_first_and_the_card_is_updated(page: Page) -> None:
    await write(page, "/workflow run Something")
    card = message(feed(page), "builder")
    kill = card.get_by_role("button", name="Kill", exact=True)
    question = page.get_by_role("alertdialog", name="Kill this run?")

    await kill.click()
    await expect(question).to_contain_text("Its work so far is kept.")
    await question.get_by_role("button", name="Let it run").click()
    await expect(question).to_be_hidden()
    await expect(card).to_contain_text("Running · builder")
    await kill.click()
    await question.get_by_role("button", name="Kill it").click()

    await expect(card).to_contain_text("Killed · builder")
    await expect(kill).to_have_count(0)
    await expect(card).to_have_count(1)


async def test_an_overflow_menu_is_used_by_keyboard(page: Page) -> None:
    await write(page, "/workflow run Something")
    card = message(feed(page), "Running · builder")
    await card.get_by_role("button", name="open thread").click()

    await card.get_by_role("button", name="More options").press("Enter")
    await page.get_by_role("menuitem", name="Logs").press("ArrowDown")
    await page.get_by_role("menuitem", name="Diff").press("Enter")

    await expect(message(thread(page), "You chose Diff.")).to_be_visible()


async def test_a_select_sends_the_choice_to_the_app(page: Page) -> None:
    await write(page, "/workflow run Something")
    card = message(feed(page), "builder")
    await card.get_by_role("button", name="Kill", exact=True).click()
    await page.get_by_role("button", name="Kill it").click()

    await card.get_by_role("combobox", name="Continue").select_option(label="20 turns")
    await card.get_by_role("button", name="open thread").click()

    await expect(message(thread(page), "You chose 20 turns.")).to_be_visible()


async def test_a_file_is_a_snippet_that_unfolds(page: Page) -> None:
    await write(page, "/workflow run Something")
    card = message(feed(page), "Running · builder")
    await card.get_by_role("button", name="open thread").click()
    file = thread(page).get_by_role("region", name="File changes.diff")
    await expect(file).to_contain_text("+line 1")
    await expect(file).not_to_contain_text("+line 20")

    await file.get_by_role("button", name="Show all 22 lines").click()

    await expect(file).to_contain_text("+line 20")


async def test_mrkdwn_is_drawn_as_slack_draws_it(page: Page) -> None:
    await write(
        page, "/workflow echo *bold* _it_ ~no~ `a*b` 2*3*4 <https://x.example|a link> :tada:"
    )

    drawn = message(feed(page), "bold")

    await expect(drawn.locator(".text strong")).to_have_text("bold")
    await expect(drawn.locator(".text em")).to_have_text("it")
    await expect(drawn.locator(".text s")).to_have_text("no")
    await expect(drawn.locator(".text code")).to_have_text("a*b")
    await expect(drawn).to_contain_text("2*3*4")
    await expect(drawn).to_contain_text("🎉")


async def test_markdown_is_drawn_by_its_own_rules(page: Page) -> None:
    words = "# Done\n\n**bold** and *it*\n\n1. one\n2. two\n   - deep"
    table = "| a | b |\n|---|--:|\n| 1 | 2 |"

    await write(page, f"/workflow markdown {words}\n\n{table}")

    drawn = message(feed(page), "Done")
    await expect(drawn.get_by_role("heading", name="Done")).to_be_visible()
    await expect(drawn.locator(".markdown strong")).to_have_text("bold")
    await expect(drawn.locator(".markdown ol > li")).to_have_count(2)
    await expect(drawn.locator(".markdown ol ul > li")).to_have_text("deep")
    await expect(drawn.get_by_role("cell", name="2")).to_have_css("text-align", "right")


async def test_rich_text_and_images_are_drawn_without_a_request_to_another_host(
    page: Page, sandbox: Sandbox
) -> None:
    requested_urls: list[str] = []
    page.on("request", lambda request: requested_urls.append(request.url))

    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    await client.chat_postMessage(channel="#builds", text="all of it", blocks=ELEMENTS)

    drawn = (
        feed(page).get_by_role("article").filter(has=page.locator("[aria-label='A chart of runs']"))
    )
    await expect(drawn.locator("strong")).to_have_text("strong")
    await expect(drawn.get_by_role("listitem")).to_have_text("item")
    await expect(drawn).to_contain_text("@Ben Okafor")
    await expect(drawn.get_by_role("img", name="A chart of runs")).to_be_visible()
    assert [url for url in requested_urls if not url.startswith(sandbox.url)] == []


async def test_a_chart_is_drawn_with_its_numbers(page: Page, sandbox: Sandbox) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
    chart = bar_chart(
        "Ended runs",
        ["Completed", "Killed"],
        {"This day": [12, 1], "The day before": [6, 0]},
        unit="runs",
    )
    await client.chat_postMessage(channel="#builds", text="a chart", blocks=[chart])

    drawn = feed(page).get_by_role("figure", name="Ended runs")

    await expect(drawn.locator(".chart-name")).to_have_text(["This day", "The day before"])
    await expect(drawn.locator(".chart-label")).to_have_text(["Completed", "Killed"])
    await expect(drawn.locator(".chart-value")).to_have_text(["12", "6", "1", "0"])
    widths = [await bar.evaluate("bar => bar.clientWidth") for bar in await bars(drawn)]
    assert widths[0] > widths[1] > widths[2] > widths[3]


async def bars(drawn: Locator) -> list[Locator]:
    return await drawn.locator(".chart-bar").all()


async def test_the_home_tab_is_drawn_and_its_button_opens_a_form(open_page: OpenPage) -> None:
    page = await open_page("home")

    home = page.get_by_role("region", name="App home")
    await expect(home.get_by_role("heading", name="Your runs")).to_be_visible()
    await home.get_by_role("button", name="Run a workflow").click()

    await expect(page.get_by_role("dialog", name="Run a workflow")).to_be_visible()
