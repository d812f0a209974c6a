"""The Markdown of agents as HTML that can do no harm.

HTML in it is shown as text, pictures are not loaded, and links lead only to web addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from bot.web.dashboard.shown_texts import MAX_CHARS, shown_text

_WEB = ("https://", "http://", "mailto:")
# A page has its own first and second heading.
_DEEPEST, _DEEPER = 6, 2


class _Renderer(RendererHTML):
    def heading_open(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        return f"<{_deeper(tokens[idx].tag)}>"

    def heading_close(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        return f"</{_deeper(tokens[idx].tag)}>\n"

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        # What an agent links to learns nothing about this page.
        tokens[idx].attrSet("rel", "noopener noreferrer nofollow")
        return self.renderToken(tokens, idx, options, env)

    def th_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self._cell(tokens, idx, options, env)

    def td_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self._cell(tokens, idx, options, env)

    def _cell(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        # Its alignment would be a style of its own, which the policy of the pages forbids.
        tokens[idx].attrs.pop("style", None)
        return self.renderToken(tokens, idx, options, env)


def _deeper(tag: str) -> str:
    return f"h{min(int(tag[1:]) + _DEEPER, _DEEPEST)}"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"]).disable(["image", "html_inline", "html_block"])
    parser.validateLink = lambda url: url.strip().lower().startswith(_WEB)  # type: ignore[method-assign]
    return parser


_PARSER = _parser()


@lru_cache(maxsize=512)
def markdown(text: str | None, limit: int = MAX_CHARS) -> Markup:
    """A text of an agent as HTML, at most so many characters of it."""
    rendered: str = _PARSER.render(shown_text(text, limit))
    return Markup(rendered)  # noqa: S704 - the parser escapes everything that is not its own
