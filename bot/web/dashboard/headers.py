"""The headers of the dashboard's answers: what its pages may load, and who may keep them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Nothing inline and nothing from elsewhere: what an agent writes can never become a program.
_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'; img-src 'self' data:"
)
_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PAGE_HEADERS: Mapping[str, str] = MappingProxyType(
    {**_COMMON, "Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
)
# Their address changes with their content.
ASSET_HEADERS: Mapping[str, str] = MappingProxyType(
    {**_COMMON, "Cache-Control": "public, max-age=31536000, immutable"}
)
