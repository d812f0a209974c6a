"""Less to do for what happens often: statuses, lists with several filters, transcripts.

What was answered about ended runs is stored.  Answers are about 3 kB long and compress to half of
that, which lies within the row: to read one is to read one row.  Nothing refers to them, and each is
made again when it is missing.

The indexes of filters get the values of the others, so that runs of several filters are found and
counted without a look at each row of one of them.  The lock that building takes lasts about two
seconds for each million runs and index.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE status_answers (
    run_id UUID NOT NULL,
    version BIGINT NOT NULL,
    written_by BIGINT NOT NULL,
    edition VARCHAR(64) NOT NULL,
    etag VARCHAR(100) NOT NULL,
    answer BYTEA NOT NULL,
    CONSTRAINT pk_status_answers PRIMARY KEY (run_id),
    CONSTRAINT fk_status_answers_run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id)
        ON DELETE CASCADE
)
    """,
    "ALTER TABLE status_answers ALTER COLUMN answer SET STORAGE MAIN",
    # Appends to one session are serialised, so that its entries have ids in the order of the
    # commits.  Each statement of the function sees what was committed before it began: after
    # a wait for the lock, the next one sees whether the attempt is still the run's.
    """
CREATE FUNCTION signalbox_append_transcript(
    in_scope text, in_session text, in_subpath text, in_project text, uuids text[], entries text[],
    in_run text, in_attempt integer
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(in_session || in_scope, 20));
    INSERT INTO transcript_entries
        (scope, session_id, subpath, project_key, entry_uuid, entry)
    SELECT in_scope, in_session, in_subpath, in_project, item.uuid, item.entry::json
    FROM unnest(uuids, entries) WITH ORDINALITY AS item (uuid, entry, position)
    WHERE in_attempt IS NULL OR EXISTS (
        SELECT FROM workflow_runs
        WHERE workflow_runs.run_id = in_run AND workflow_runs.attempt = in_attempt
            AND workflow_runs.session_id::text = in_session
    )
    ORDER BY item.position
    ON CONFLICT DO NOTHING;
END
$$
    """,
)
_DOWN = (
    "DROP FUNCTION signalbox_append_transcript",
    "DROP TABLE status_answers",
)
# By the filter's column: what else its index has.
_FILTERS = {
    "workflow_name": "id, status, stop_reason, outcome",
    "user_id": "id, workflow_name, status, stop_reason, outcome",
    "git_repo": "id, workflow_name, status, stop_reason, outcome, user_id",
    "stop_reason": "id, status, outcome",
    "outcome": "id, status, stop_reason",
}


def _make_filter_index(column: str, included: str) -> None:
    name = f"idx_workflow_runs_{column}"
    op.execute(f"DROP INDEX {name}")
    op.execute(f"CREATE INDEX {name} ON workflow_runs ({column}, created_at DESC){included}")


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)
    for column, included in _FILTERS.items():
        _make_filter_index(column, f" INCLUDE ({included})")


def downgrade() -> None:
    for column in _FILTERS:
        _make_filter_index(column, "")
    for statement in _DOWN:
        op.execute(statement)
