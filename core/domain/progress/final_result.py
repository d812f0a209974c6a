"""The final result of a run: the agent's last summary, with its last words below."""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.runs.report import has_report_heading, join_report, last_words_of

# A text longer than this is substantial.
_MIN_CHARS = 200
_LAST_TEXTS = 5
# A stored text may be cut; so much of it tells which text it is.
_HEAD_CHARS = 1_000


def final_result(result: str | None, texts: Sequence[str]) -> str | None:
    """What a run came to: a summary, else a substantial text, else its last words.

    The last summary (a text with a heading such as Summary or Results) of the last five texts,
    else the last one with more than 200 characters.  If something else was said after it, that
    stands below: it may say that the summary is wrong.

    Args:
        result: The report that the run keeps; `None` if it has none, as after a kill.
        texts: The main agent's last texts, oldest first; each may be cut.
    """
    said = [text.strip() for text in texts if text.strip()][-_LAST_TEXTS:]
    newest_first = list(reversed(said))
    chosen = next(
        (text for text in newest_first if has_report_heading(text)),
        next((text for text in newest_first if len(text) > _MIN_CHARS), None),
    )
    kept = (result or "").strip()
    last_words = last_words_of(kept) if kept else next(iter(newest_first), "")
    whole = kept or last_words
    if chosen is None:
        return whole or None
    if chosen[:_HEAD_CHARS] in whole:
        return whole
    return join_report(chosen, last_words) if last_words != chosen else chosen
