"""The errors that a process logs while something is tried out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _ErrorLog(logging.Handler):
    def __init__(self, errors: list[str]) -> None:
        super().__init__()
        self._errors = errors
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.levelno >= logging.ERROR:
            self._errors.append(self.format(record))


@contextmanager
def watched_log(errors: list[str]) -> Iterator[None]:
    """Add log records of errors, and all with a traceback, to a list until the block ends."""
    handler = _ErrorLog(errors)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
