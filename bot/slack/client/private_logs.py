"""Logs of Slack's libraries without what people wrote.

Bolt logs whole payloads as warnings, and the socket client the address with its ticket.
"""

import logging
import re

_MAX_CHARS = 160
# A payload begins with a brace; a suggestion of code with a line of dashes.
_PAYLOAD = re.compile(r"[({\[]\s*[{'\"][\s\S]*|\n[\s\S]*")
_TICKET = re.compile(r"wss?://\S+|ticket=\S+")


class PayloadFilter(logging.Filter):
    """Cuts a record to its first words, and an exception to its type."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; none is dropped."""
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
    # Below, the libraries describe their internals, and at DEBUG they format every payload.
    logger.setLevel(logging.WARNING)
    return logger
