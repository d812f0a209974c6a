"""What a person reads in, and copies from, the blocks of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from markdown_it import MarkdownIt

from bot.slack import text
from bot.slack.markdown import mrkdwn_blocks, report_blocks
from bot.slack.views.message import Block


def safe_markdown(report: str, limit: int) -> str:
    """The report in Markdown blocks, with its rich text as Markdown can show it."""
    return _joined(report_blocks(report, limit), lambda block: str(block["text"]))


def to_mrkdwn(report: str, limit: int) -> str:
    """The same for the blocks in mrkdwn."""
    return _joined(mrkdwn_blocks(report, limit), lambda block: str(block["text"]["text"]))


def codes(blocks: list[Block]) -> list[str]:
    """Each piece of code as a person copies it, in order."""
    return [code for block in blocks for code in _codes(block)]


def parsed_text(blocks: list[Block]) -> str:
    """Everything that Slack parses for mentions and links: not the rich text."""
    texts = (block["text"] for block in blocks if block["type"] != "rich_text")
    return "\n".join(each if isinstance(each, str) else each["text"] for each in texts)


def rich_elements(blocks: list[Block]) -> Iterator[dict[str, Any]]:
    """The smallest elements of all rich text."""
    for block in blocks:
        if block["type"] == "rich_text":
            for part in block["elements"]:
                yield from part["elements"]


def visible_size(blocks: list[Block]) -> int:
    """The characters in all blocks together, without anything between them."""
    rich = sum(len(element["text"]) for element in rich_elements(blocks))
    return rich + sum(len(parsed_text([block])) for block in blocks)


def _joined(blocks: list[Block], text_of: Callable[[Block], str]) -> str:
    return "\n".join(
        "".join(element["text"] for element in rich_elements([block]))
        if block["type"] == "rich_text"
        else text_of(block)
        for block in blocks
    )


def _codes(block: Block) -> Iterator[str]:
    if block["type"] == "rich_text":
        for part in block["elements"]:
            is_block = part["type"] == "rich_text_preformatted"
            for element in part["elements"]:
                if is_block or element.get("style", {}).get("code"):
                    yield element["text"]
    elif block["type"] == "markdown":
        yield from _codes_of_markdown(block["text"])
    else:
        yield from codes_of_mrkdwn(block["text"]["text"])


def _codes_of_markdown(words: str) -> Iterator[str]:
    for token in MarkdownIt("commonmark").enable("table").parse(words):
        if token.type in {"fence", "code_block"}:
            yield token.content.removesuffix("\n")
        for part in token.children or ():
            if part.type == "code_inline":
                yield part.content


def codes_of_mrkdwn(words: str) -> Iterator[str]:
    """The code in a text in mrkdwn, as Slack finds it: fences first, then inline code."""
    for number, piece in enumerate(words.split("```")):
        if number % 2:
            # Slack hides the line breaks beside the marks.
            yield text.unescape(piece.removeprefix("\n").removesuffix("\n"))
        else:
            yield from (text.unescape(code) for code in piece.split("`")[1::2])
