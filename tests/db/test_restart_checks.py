"""What is in the way of a restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.agent.definitions.catalog import Catalog, load_catalog
from core.agent.definitions.stored import stored_form
from core.domain.reach.repositories import RepositoryPolicy
from core.domain.runs.checkpoint import NotStored
from core.domain.runs.restarts.errors import NotRestartable
from core.domain.runs.restarts.origin import DEFINITION_KEY, FOLLOWS_KEY
from core.domain.runs.restarts.preview import ProblemKind
from core.domain.runs.restarts.request import DefinitionChoice
from core.domain.runs.run import Run
from core.store import definitions
from core.store.database.engine import Database
from core.store.runs import runs
from core.store.sessions.transcripts import Transcripts
from tests.database import NOW
from tests.restart_rows import (
    OPERATOR,
    PLACE,
    REPOSITORY,
    FakeProbe,
    ended,
    kinds,
    preview,
    request,
    restart,
    service,
    with_checkpoint,
)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"message_uuid": None}, ProblemKind.NOT_ANSWERED_YET),
        ({"not_stored": NotStored.TOO_LARGE}, ProblemKind.OBJECTS_MISSING),
    ],
)
async def test_what_a_checkpoint_lacks_is_in_the_way(
    database: Database, changes: dict[str, Any], kind: ProblemKind
) -> None:
    old = await ended(database)
    await with_checkpoint(database, old, **changes)

    assert kind in kinds(await preview(database, old, checkpoint=1))
    with pytest.raises(NotRestartable) as caught:
        await restart(database, old, checkpoint=1)
    assert "@1" in caught.value.user_message


async def test_a_conversation_that_is_not_stored_any_more_is_in_the_way(
    database: Database,
) -> None:
    old = await ended(database)
    await with_checkpoint(database, old)
    key = {"project_key": "p", "session_id": str(old.session_id)}
    await Transcripts(database).delete(key)

    found = await preview(database, old, checkpoint=1)

    assert kinds(found) == {ProblemKind.NO_CONVERSATION}


async def test_an_open_tool_call_is_told_and_not_in_the_way(database: Database) -> None:
    old = await ended(database)
    await with_checkpoint(database, old, is_call_open=True)

    found = await preview(database, old, checkpoint=1)

    assert (kinds(found), found.blocking) == ({ProblemKind.CALL_OPEN}, ())


@pytest.mark.parametrize("is_of_worker", [True, False])
async def test_an_unreachable_repository_is_in_the_way_only_where_runs_are_executed(
    database: Database, is_of_worker: bool
) -> None:
    old = await ended(database, git_repo=REPOSITORY)
    probe = FakeProbe(is_of_worker=is_of_worker, unreachable="Cannot reach it.")

    found = await service(database, probe).preview(request(old), by=OPERATOR)

    assert kinds(found) == {ProblemKind.REPOSITORY_UNREACHABLE}
    assert bool(found.blocking) is is_of_worker


async def test_a_base_commit_that_is_gone_is_in_the_way(database: Database) -> None:
    old = await ended(database, git_repo=REPOSITORY, initial_commit_hash="a" * 40)
    probe = FakeProbe(gone={"a" * 40})

    found = await service(database, probe).preview(request(old), by=OPERATOR)

    assert [problem.kind for problem in found.blocking] == [ProblemKind.BASE_COMMIT_GONE]


async def test_a_repository_that_may_not_be_cloned_any_more_is_in_the_way(
    database: Database,
) -> None:
    old = await ended(database, git_repo=REPOSITORY)
    limited = replace(service(database), repositories=RepositoryPolicy(hosts=()))

    found = await limited.preview(request(old), by=OPERATOR)

    assert kinds(found) == {ProblemKind.REPOSITORY_NOT_ALLOWED}


async def kept_definition(database: Database, run: Run, prompt: str) -> str:
    """Store a definition with a run, as its worker does."""
    definition = replace(load_catalog().get(run.workflow_name), prompt=prompt)
    kept = stored_form(definition)
    async with database.sessions.begin() as session:
        await definitions.keep(session, kept.digest, kept.name, kept.content, now=NOW)
        await runs.merge_metadata(session, run.run_id, {DEFINITION_KEY: kept.digest}, now=NOW)
    return kept.digest


async def test_a_changed_workflow_offers_both_definitions(database: Database) -> None:
    old = await ended(database)
    digest = await kept_definition(database, old, "As it was.")

    now = await preview(database, old)
    then = await preview(database, old, definition=DefinitionChoice.STORED)
    started = await restart(database, old, definition=DefinitionChoice.STORED)

    assert kinds(now) == kinds(then) == {ProblemKind.WORKFLOW_CHANGED}
    assert now.has_both_definitions
    assert then.has_both_definitions
    assert now.blocking == then.blocking == ()
    assert started.run.metadata[FOLLOWS_KEY] == digest


async def test_only_an_operator_restarts_a_run_of_a_removed_workflow(database: Database) -> None:
    old = await ended(database, user_id=None)
    await kept_definition(database, old, "As it was.")
    removed = service(database, catalog=Catalog(all=()))
    stored = request(old, definition=DefinitionChoice.STORED)

    now = await removed.preview(request(old), by=OPERATOR)
    then = await removed.preview(stored, by=OPERATOR)

    assert [problem.kind for problem in now.blocking] == [ProblemKind.WORKFLOW_GONE]
    assert then.blocking == ()
    assert (await removed.restart(stored, by=OPERATOR, place=PLACE)).is_new


async def test_a_definition_that_was_not_stored_cannot_be_followed(database: Database) -> None:
    old = await ended(database)

    found = await preview(database, old, definition=DefinitionChoice.STORED)

    assert kinds(found) == {ProblemKind.DEFINITION_NOT_STORED}
