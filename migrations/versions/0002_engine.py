"""The job engine's tables, in a schema of their own.

Its SQL names its tables without a schema, so every function gets a fixed search path and
can be called from any connection.
"""

from collections.abc import Sequence
from pathlib import Path

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ENGINE = Path(__file__).with_name("0002_engine.sql")

# One statement, since drivers that prepare statements take no more than one at a time.
_INSTALL = """
DO $install$
DECLARE
    path_before text := current_setting('search_path');
BEGIN
    CREATE SCHEMA IF NOT EXISTS procrastinate;
    PERFORM set_config('search_path', 'procrastinate, pg_temp', true);
    EXECUTE $engine${engine}$engine$;
    PERFORM set_config('search_path', path_before, true);
END
$install$
"""

# The engine tells nobody that a lock has become free: a job that waited for it would start
# at the next poll only.  This tells the queue of the next waiting job of the same lock.
_NOTIFY_LOCK_FREE = """
CREATE FUNCTION procrastinate.signalbox_notify_lock_free() RETURNS trigger
LANGUAGE plpgsql AS $body$
DECLARE
    waiting record;
BEGIN
    SELECT id, queue_name INTO waiting
        FROM procrastinate_jobs
        WHERE lock = NEW.lock AND status = 'todo'
        ORDER BY priority DESC, id
        LIMIT 1;
    IF FOUND THEN
        PERFORM pg_notify(
            'procrastinate_queue_v1#' || waiting.queue_name,
            json_build_object('type', 'job_inserted', 'job_id', waiting.id)::text
        );
    END IF;
    RETURN NULL;
END
$body$
"""

# A job also holds its lock against later ones while it waits itself, until it is cancelled.
_TRIGGER = """
CREATE TRIGGER signalbox_jobs_lock_free
    AFTER UPDATE OF status ON procrastinate.procrastinate_jobs
    FOR EACH ROW
    WHEN (
        NEW.lock IS NOT NULL
        AND OLD.status IN ('todo', 'doing')
        AND NEW.status NOT IN ('todo', 'doing')
    )
    EXECUTE FUNCTION procrastinate.signalbox_notify_lock_free()
"""

# The engine looks for other live jobs of a lock at every fetch, and its own index begins with
# the id: 3,000 waiting jobs would make a fetch 300 ms long until the table is analysed.
_INDEX = """
CREATE INDEX signalbox_jobs_live_by_lock
    ON procrastinate.procrastinate_jobs (lock) WHERE status IN ('todo', 'doing')
"""

_PIN_SEARCH_PATHS = """
DO $pin$
DECLARE
    signature regprocedure;
BEGIN
    FOR signature IN
        SELECT oid FROM pg_proc WHERE pronamespace = 'procrastinate'::regnamespace
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = procrastinate, pg_temp', signature);
    END LOOP;
END
$pin$
"""


def upgrade() -> None:
    connection = op.get_bind()
    engine = _ENGINE.read_text(encoding="utf-8")
    for statement in (
        _INSTALL.replace("{engine}", engine),
        _NOTIFY_LOCK_FREE,
        _TRIGGER,
        _INDEX,
        _PIN_SEARCH_PATHS,
    ):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    op.get_bind().exec_driver_sql("DROP SCHEMA procrastinate CASCADE")
