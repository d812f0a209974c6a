"""An API without its database: a clear answer that says when to try again."""

from __future__ import annotations

from core.domain.token import new_secret
from core.store.database.engine import open_database
from tests.api import CONSOLE, open_api


async def test_without_a_database_the_answer_is_503_with_the_time_to_try_again() -> None:
    async with (
        open_database("postgresql://nobody@127.0.0.1:9/nothing") as database,
        open_api(database) as api,
    ):
        reply = await api.get(f"{CONSOLE}/runs", new_secret())
        document = await api.get("/openapi.json")

    assert (reply.status, reply.error) == (503, "database_unavailable")
    assert reply.headers["Retry-After"] == "5"
    assert "127.0.0.1" not in reply.text
    assert document.status == 200
