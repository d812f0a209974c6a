"""Icons: a shape for every state, so that states differ without their colours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from markupsafe import Markup

# Drawn on a grid of 16 by 16, in the colour of the text around them.
_SHAPES: Mapping[str, str] = MappingProxyType(
    {
        # States.
        "queued": '<circle cx="8" cy="8" r="6" class="line" stroke-dasharray="2.4 2.3"/>',
        "running": '<circle cx="8" cy="8" r="6" class="line"/><path d="M6.2 5v6l5-3z"/>',
        "waiting": '<path d="M4 3h2.6v10H4zM9.4 3H12v10H9.4z"/>',
        "stopping": '<circle cx="8" cy="8" r="6" class="line"/><path d="M5.5 5.5h5v5h-5z"/>',
        "clean": '<circle cx="8" cy="8" r="7"/><path d="m4.8 8.2 2.2 2.2 4.3-4.6" class="cut"/>',
        "attention": '<path d="M8 1.2 15.4 14H.6z"/><path d="M8 5.8v4M8 11.6v.2" class="cut"/>',
        "limit": '<circle cx="8" cy="8" r="6" class="line"/><path d="M8 4.5V8l2.4 1.6" '
        'class="line"/>',
        "failed": '<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z"/><path d="m5.4 5.4 5.2 5.2m0-5.2-5.2 5.2" '
        'class="cut"/>',
        "killed": '<rect x="2" y="2" width="12" height="12" rx="2.5"/>'
        '<path d="M5.6 5.6h4.8v4.8H5.6z" class="hole"/>',
        "skipped": '<path d="M3 3.5 9 8l-6 4.5zM10.5 3.5h2v9h-2z"/>',
        "paused": '<circle cx="8" cy="8" r="6" class="line"/><path d="M6.3 5.5v5M9.7 5.5v5" '
        'class="line"/>',
        # Things.
        "search": '<circle cx="7" cy="7" r="4.5" class="line"/><path d="m10.5 10.5 4 4" '
        'class="line"/>',
        "bell": '<path d="M8 2a4 4 0 0 0-4 4v3l-1.5 2.5h11L12 9V6a4 4 0 0 0-4-4zM6.5 13a1.5 1.5 0 '
        '0 0 3 0" class="line"/>',
        "download": '<path d="M8 2v8m-3-3 3 3 3-3M2.5 13.5h11" class="line"/>',
        "link": '<path d="M6.5 9.5 9.5 6.5M7 4.5l1-1a2.8 2.8 0 0 1 4 4l-1 1M9 11.5l-1 1a2.8 2.8 0 '
        '0 1-4-4l1-1" class="line"/>',
        "branch": '<circle cx="4.5" cy="3.5" r="1.7" class="line"/><circle cx="4.5" cy="12.5" '
        'r="1.7" class="line"/><circle cx="11.5" cy="5.5" r="1.7" class="line"/>'
        '<path d="M4.5 5.2v5.6M11.5 7.2c0 2.3-3 2.3-6 3.6" class="line"/>',
        "back": '<path d="m10 3-5 5 5 5" class="line"/>',
        "next": '<path d="m6 3 5 5-5 5" class="line"/>',
        "more": '<circle cx="3" cy="8" r="1.4"/><circle cx="8" cy="8" r="1.4"/><circle cx="13" '
        'cy="8" r="1.4"/>',
        "theme": '<circle cx="8" cy="8" r="6" class="line"/><path d="M8 2a6 6 0 0 1 0 12z"/>',
        "menu": '<path d="M2 4h12M2 8h12M2 12h12" class="line"/>',
        "close": '<path d="m3.5 3.5 9 9m0-9-9 9" class="line"/>',
    }
)
NAMES = frozenset(_SHAPES)


def icon(name: str, label: str = "") -> Markup:
    """An icon as part of a page.

    Args:
        name: One of `NAMES`.
        label: What it says to those who cannot see it; empty if the text beside it says it.

    Raises:
        KeyError: If there is no such icon.
    """
    role = (
        Markup('role="img" aria-label="{}"').format(label)
        if label
        else Markup('aria-hidden="true"')
    )
    shapes = Markup(_SHAPES[name])  # noqa: S704 - from the table above
    return Markup('<svg class="icon icon-{}" viewBox="0 0 16 16" {}>{}</svg>').format(
        name, role, shapes
    )
