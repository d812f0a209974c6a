"""What runs and workers use: samples over time, and peaks and totals of attempts."""

from collections.abc import Sequence

from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE resource_samples (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    worker_id TEXT NOT NULL,
    run_id UUID,
    attempt INTEGER,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    step_seconds INTEGER NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    cpu_seconds DOUBLE PRECISION NOT NULL,
    cpu_peak DOUBLE PRECISION NOT NULL,
    memory_bytes BIGINT NOT NULL,
    memory_peak_bytes BIGINT NOT NULL,
    processes INTEGER NOT NULL,
    read_bytes BIGINT,
    written_bytes BIGINT,
    disk_bytes BIGINT,
    CONSTRAINT pk_resource_samples PRIMARY KEY (id),
    CONSTRAINT valid_interval CHECK (seconds > 0 AND step_seconds >= 0),
    CONSTRAINT run_has_attempt CHECK ((run_id IS NULL) = (attempt IS NULL))
)
    """,
    """
CREATE INDEX idx_resource_samples_run_id ON resource_samples (run_id, at)
    WHERE run_id IS NOT NULL
    """,
    """
CREATE INDEX idx_resource_samples_worker_id ON resource_samples (worker_id, at)
    WHERE run_id IS NULL
    """,
    "CREATE INDEX idx_resource_samples_step_seconds ON resource_samples (step_seconds, at)",
    """
CREATE TABLE run_resources (
    run_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    worker_id TEXT NOT NULL,
    source VARCHAR(50) NOT NULL,
    sampled_from TIMESTAMP WITH TIME ZONE NOT NULL,
    sampled_until TIMESTAMP WITH TIME ZONE NOT NULL,
    cpu_seconds DOUBLE PRECISION NOT NULL,
    cpu_peak DOUBLE PRECISION NOT NULL,
    memory_peak_bytes BIGINT NOT NULL,
    processes_peak INTEGER NOT NULL,
    read_bytes BIGINT,
    written_bytes BIGINT,
    disk_bytes BIGINT,
    disk_peak_bytes BIGINT,
    CONSTRAINT pk_run_resources PRIMARY KEY (run_id, attempt),
    CONSTRAINT fk_run_resources_run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id),
    CONSTRAINT valid_source CHECK (source IN ('cgroup', 'processes'))
)
    """,
    # Written every few seconds: most versions of a row fit on its page beside the older ones.
    "ALTER TABLE run_resources SET (fillfactor = 50)",
)
_DOWN = ("DROP TABLE run_resources", "DROP TABLE resource_samples")


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
