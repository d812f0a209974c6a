"""One cache of compiled statements for all engines of a test process.

An engine caches the SQL of the statements that it has run.  Each test opens engines of its own, so
each would compile the same statements again: a third of the CPU time of a test with a whole bot.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.util import LRUCache

# Of some thousand statements in all tests; those of one test are far fewer.
_CAPACITY = 2000


class StatementCache(LRUCache[tuple[Any, ...], Any]):
    """A cache for engines whose dialects are alike: each engine has a dialect object of its own."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        """The compiled statement of a key that begins with a dialect."""
        return super().get(_without_engine(key), default)

    def __getitem__(self, key: tuple[Any, ...]) -> Any:
        return super().__getitem__(_without_engine(key))

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        super().__setitem__(_without_engine(key), compiled)


def _without_engine(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *rest = key
    return (dialect.name, dialect.driver, *rest)


STATEMENTS = StatementCache(_CAPACITY)


def share_statements() -> None:
    """Let every engine of this process use the cache."""

    @event.listens_for(Engine, "engine_connect")
    def use_cache(connection: Connection) -> None:
        connection.execution_options(compiled_cache=STATEMENTS)
