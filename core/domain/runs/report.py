"""The report of a run: the agent's last words, below the report that came just before them."""

from __future__ import annotations

# A thematic break of Markdown.
_BREAK = "\n\n---\n\n"


def join_report(report: str, last_words: str) -> str:
    """A report with the last words below it."""
    return f"{report}{_BREAK}{last_words}"


def last_words_of(result: str) -> str:
    """The last words of a result: what is below its report, or all of it."""
    return result.rpartition(_BREAK)[2].strip()
