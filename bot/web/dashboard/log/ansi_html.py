"""Lines of a terminal as HTML: classes where they can say it, and colours for the page's script.

The policy of the pages forbids styles in HTML, so that a colour of its own is an attribute, which
the script turns into a style.  Without the script it has the colour of the text.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from bot.web.dashboard.log.ansi import PLAIN, Line, Span
from bot.web.dashboard.log.colours import BASIC, Rgb, contrast, pair, readable, written
from bot.web.dashboard.log.marks import visible

_CLASSES = (
    ("is_bold", "a-bold"),
    ("is_dim", "a-dim"),
    ("is_italic", "a-italic"),
    ("is_underlined", "a-under"),
    ("is_struck", "a-struck"),
)
_MIN_CONTRAST = 4.5


def lines_html(lines: Sequence[Line]) -> Markup:
    """Lines of text, with line breaks between."""
    return Markup("\n").join(Markup("").join(map(_span, line)) for line in lines)


def _span(span: Span) -> Markup:
    text = visible(span.text)
    if span.style == PLAIN:
        return text
    classes = [name for attribute, name in _CLASSES if getattr(span.style, attribute)]
    attributes = Markup("")
    foreground, background = span.style.foreground, span.style.background
    if span.style.is_inverse:
        foreground, background = background, foreground
    if background is not None:
        attributes = _on_background(foreground, _rgb(background))
    elif span.style.is_inverse:
        classes.append("a-inverse")
    elif isinstance(foreground, int):
        classes.append(f"a-{foreground}")
    elif foreground is not None:
        attributes = Markup(' data-f="{}"').format(pair(foreground))
    named = Markup(' class="{}"').format(" ".join(classes)) if classes else Markup("")
    if not named and not attributes:
        return text
    return Markup("<span{}{}>{}</span>").format(named, attributes, text)


def _on_background(foreground: int | Rgb | None, background: Rgb) -> Markup:
    wanted = None if foreground is None else _rgb(foreground)
    if wanted is None or contrast(wanted, background) < _MIN_CONTRAST:
        wanted = readable(wanted or background, background)
    return Markup(' data-f="{}" data-g="{}"').format(written(wanted), written(background))


def _rgb(colour: int | Rgb) -> Rgb:
    return BASIC[colour] if isinstance(colour, int) else colour
