"""Letters that cannot be seen, or that disguise a text, made visible."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

# Control characters; marks of the reading direction; letters without a width; those that a
# browser cannot write.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_CONTROL = 0x20
_DELETE = 0x7F
_PICTURES = 0x2400
_DELETE_PICTURE = "␡"


def visible(text: str) -> Markup:
    """A text as HTML in which nothing is hidden."""
    if HIDDEN.search(text) is None:
        return escape(text)
    parts, start = [], 0
    for found in HIDDEN.finditer(text):
        parts += [escape(text[start : found.start()]), _mark(found[0])]
        start = found.end()
    return Markup("").join([*parts, escape(text[start:])])


def _mark(letter: str) -> Markup:
    code = ord(letter)
    if code < _CONTROL:
        shown = chr(_PICTURES + code)
    elif code == _DELETE:
        shown = _DELETE_PICTURE
    else:
        shown = f"U+{code:04X}"
    return Markup('<span class="odd" title="U+{:04X}">{}</span>').format(code, shown)
