"""SQL for the engine's tables and functions, and the format of its notifications.

This module does not import the engine, because processes without a worker enqueue jobs, too.
"""

from __future__ import annotations

from sqlalchemy import text

SCHEMA = "procrastinate"

# Statements for the caller's transaction, through SQLAlchemy.

ENQUEUE = text("""
    SELECT unnest(procrastinate.procrastinate_defer_jobs_v1(ARRAY[ROW(
        CAST(:queue AS varchar), CAST(:task AS varchar), CAST(:priority AS integer),
        CAST(:lock AS text), NULL, CAST(:args AS jsonb), NULL
    )::procrastinate.procrastinate_job_to_defer_v1]))
""")

ABORT = text("SELECT procrastinate.procrastinate_cancel_job_v1(:job_id, true, false)")

# The engine's function raises an error for a job that has ended.  The row lock keeps the job from
# ending between the check and the call.
FINISH_ABANDONED = text("""
    WITH unfinished AS (
        SELECT id FROM procrastinate.procrastinate_jobs
        WHERE id = :job_id AND status IN ('todo', 'doing')
        FOR UPDATE
    )
    SELECT procrastinate.procrastinate_finish_job_v1(id, 'failed', false) FROM unfinished
""")

COUNT_WAITING = text("""
    SELECT count(*) FROM procrastinate.procrastinate_jobs
    WHERE status = 'todo' AND (CAST(:queue AS text) IS NULL OR queue_name = CAST(:queue AS text))
""")

# The job stays the same in the other queue.  So only one worker gets it, even if the node's worker
# takes it at the same moment, and its order by priority and id stays.
RELEASE_NODE_JOBS = text("""
    WITH released AS (
        SELECT id FROM procrastinate.procrastinate_jobs AS jobs
        WHERE status = 'todo' AND queue_name LIKE 'node:%' AND (
            NOT queue_name = ANY(CAST(:nodes AS text[]))
            OR EXISTS (
                SELECT 1 FROM procrastinate.procrastinate_events AS events
                WHERE events.job_id = jobs.id AND events.type = 'deferred'
                    AND events.at < now() - CAST(:waited AS interval)
            )
        )
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    )
    UPDATE procrastinate.procrastinate_jobs AS jobs SET queue_name = CAST(:runs AS text)
    FROM released WHERE jobs.id = released.id
    RETURNING jobs.id,
        pg_notify(
            'procrastinate_queue_v1#' || CAST(:runs AS text),
            json_build_object('type', 'job_inserted', 'job_id', jobs.id)::text
        )
""")

# A worker that was pruned or has unregistered is not in the table any more.
LIST_STALLED = text("""
    SELECT jobs.id, jobs.args
    FROM procrastinate.procrastinate_jobs AS jobs
    LEFT JOIN procrastinate.procrastinate_workers AS workers ON workers.id = jobs.worker_id
    WHERE jobs.status = 'doing'
        AND jobs.task_name = :task
        AND (workers.id IS NULL OR workers.last_heartbeat < now() - CAST(:silent AS interval))
    ORDER BY jobs.id
""")

LIST_ENDED = text("""
    SELECT asked.id FROM unnest(CAST(:job_ids AS bigint[])) AS asked (id)
    LEFT JOIN procrastinate.procrastinate_jobs AS jobs ON jobs.id = asked.id
    WHERE jobs.id IS NULL OR jobs.status NOT IN ('todo', 'doing')
    ORDER BY asked.id
""")

DELETE_FINISHED = text("""
    WITH deleted AS (
        DELETE FROM procrastinate.procrastinate_jobs AS jobs
        WHERE jobs.status NOT IN ('todo', 'doing')
            AND NOT EXISTS (
                SELECT 1 FROM procrastinate.procrastinate_events AS events
                WHERE events.job_id = jobs.id AND events.at >= :before
            )
        RETURNING 1
    )
    SELECT count(*) FROM deleted
""")

# Statements for the worker's own connections, through psycopg.

SET_SEARCH_PATH = "SET search_path = procrastinate, pg_temp"
# A job that was assigned to this worker in an answer that it never got.
UNDELIVERED_JOB = """
    SELECT id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name,
           attempts, worker_id
    FROM procrastinate_jobs
    WHERE worker_id = %(worker_id)s AND status = 'doing' AND id <> ALL(%(held)s::bigint[])
    ORDER BY id
    LIMIT 1
"""
# Restores the row of this worker if another one has deleted it as stalled.
RESTORE_WORKER = """
    INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (%(worker_id)s)
    ON CONFLICT DO NOTHING
"""
RESTORE_JOBS = """
    UPDATE procrastinate_jobs SET worker_id = %(worker_id)s
    WHERE id = ANY(%(held)s::bigint[]) AND status = 'doing' AND worker_id IS NULL
"""

# The payload with which the engine's triggers announce a new job; no job has this id.
NEW_JOB_PAYLOAD = '{"type": "job_inserted", "job_id": 0}'
