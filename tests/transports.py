"""Slack's two transports, Socket Mode and HTTP, as the tests of whole flows use them."""

from __future__ import annotations

from zlib import crc32

import pytest

TRANSPORTS = ("socket", "http")
BOTH_TRANSPORTS = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)
"""For tests of what differs between them: how Slack delivers, repeats, and is acknowledged."""


@pytest.fixture
def transport(request: pytest.FixtureRequest) -> str:
    """The transport of this test.

    What happens after a delivery is the same over both, and each flow takes seconds.  So a test
    without `BOTH_TRANSPORTS` runs over one of them: always the same, which depends on its name,
    so that about half of the tests use each.
    """
    chosen: str | None = getattr(request, "param", None)
    return chosen or TRANSPORTS[crc32(request.node.name.encode()) % len(TRANSPORTS)]
