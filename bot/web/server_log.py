"""The log of the web server: what clients send wrongly is one line, and no traceback."""

from __future__ import annotations

import logging

from aiohttp.http import HttpProcessingError


class ClientErrorFilter(logging.Filter):
    """Cuts the report of a request that is not valid HTTP to one line at the level INFO.

    aiohttp logs it as an error with its traceback; defects of this program stay that.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; no record is dropped."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            # The rest quotes what was sent.
            what = str(error.message).partition("\n")[0][:100]
            record.msg, record.args = "a request was not valid HTTP: %s", (what,)
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.event = "http_request.malformed"
        return True


def server_logger() -> logging.Logger:
    """The logger handed to aiohttp's server."""
    logger = logging.getLogger("bot.web.server")
    if not any(isinstance(existing, ClientErrorFilter) for existing in logger.filters):
        logger.addFilter(ClientErrorFilter())
    return logger
