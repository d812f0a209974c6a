"""The report of a run: the agent's last words, below the report that came just before them."""

from __future__ import annotations

import re

# A thematic break of Markdown.
_BREAK = "\n\n---\n\n"
_HEADING = re.compile(
    r"^\s{0,3}(?:#{1,6}\s+|\*\*)[^\n]{0,40}?"
    r"\b(?:summary|results?|completed?|report|findings|conclusions?|outcome"
    r"|what (?:i did|changed))\b",
    re.IGNORECASE | re.MULTILINE,
)


def join_report(report: str, last_words: str) -> str:
    """A report with the last words below it."""
    return f"{report}{_BREAK}{last_words}"


def last_words_of(result: str) -> str:
    """The last words of a result: what is below its report, or all of it."""
    return result.rpartition(_BREAK)[2].strip()


def has_report_heading(text: str) -> bool:
    """Whether a text has a heading such as Summary or Results, and more than its first line."""
    return _HEADING.search(text) is not None and len(text) > len(text.splitlines()[0])
