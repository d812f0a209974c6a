"""Logs of Slack's libraries, without what people wrote and without secrets.

Bolt logs whole payloads as warnings; the socket client logs its URL with the secret ticket.
"""

import logging
import re

_MAX_CHARS = 160
# The start of a payload, or a second line: Bolt suggests code after its first line.
_PAYLOAD = re.compile(r"[({\[]\s*[{'\"][\s\S]*|\n[\s\S]*")
_TICKET = re.compile(r"wss?://\S+|ticket=\S+")


class PayloadFilter(logging.Filter):
    """Cuts a log record before any payload, and an exception to its type."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; no record is dropped."""
        text = _PAYLOAD.sub("…", record.getMessage())
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text[:_MAX_CHARS]} ({record.exc_info[0].__name__})"
            record.exc_info = None
            record.exc_text = None
        record.msg = _TICKET.sub("wss…", text)[:_MAX_CHARS]
        record.args = ()
        return True


def bolt_logger() -> logging.Logger:
    """The logger handed to Bolt and, through it, to the socket clients."""
    logger = logging.getLogger("bot.slack.bolt")
    if not any(isinstance(existing, PayloadFilter) for existing in logger.filters):
        logger.addFilter(PayloadFilter())
    # Lower levels are about library internals, and at DEBUG every payload is formatted.
    logger.setLevel(logging.WARNING)
    return logger
