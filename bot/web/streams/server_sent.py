"""The wire format of server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from datetime import timedelta

# A comment, so that proxies and clients see that the connection is alive.
HEARTBEAT = b": heartbeat\n\n"
HEARTBEAT_INTERVAL = timedelta(seconds=15)
# How long a client waits before it connects again, unless it knows better.
_RETRY_MILLISECONDS = 3000
RETRY = b"retry: %d\n\n" % _RETRY_MILLISECONDS


def server_sent_event(name: str, data: str, *, event_id: str | None = None) -> bytes:
    """One event.

    Args:
        name: Its type, for `addEventListener`.
        data: JSON, of one line.
        event_id: What a client sends as `Last-Event-ID` when it connects again; `None` leaves
            the one of the event before.
    """
    identity = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {name}\n{identity}data: {data}\n\n".encode()
