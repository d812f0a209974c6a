"""The tables of what runs and workers use: samples over time, and peaks and totals of attempts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.resources.sample import SampleSource, Usage
from core.store.tables.base import Row, check_in


class SampleRow(Row):
    """One row of `resource_samples`; the fields are explained at `Sample`.

    No foreign key: to check one locks the row of a run, and a sample must not be in a run's way.

    Attributes:
        run_id: `None` if it is of the worker itself.
        step_seconds: The interval into which thinning has joined it; 0 for a single look.
    """

    __tablename__ = "resource_samples"
    __table_args__ = (
        CheckConstraint("seconds > 0 AND step_seconds >= 0", name="valid_interval"),
        CheckConstraint("(run_id IS NULL) = (attempt IS NULL)", name="run_has_attempt"),
        Index(
            "idx_resource_samples_run_id",
            "run_id",
            "at",
            postgresql_where=text("run_id IS NOT NULL"),
        ),
        Index(
            "idx_resource_samples_worker_id",
            "worker_id",
            "at",
            postgresql_where=text("run_id IS NULL"),
        ),
        # For thinning, and for the end of their time.
        Index("idx_resource_samples_step_seconds", "step_seconds", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    worker_id: Mapped[str]
    run_id: Mapped[UUID | None]
    attempt: Mapped[int | None]
    at: Mapped[datetime]
    step_seconds: Mapped[int]
    seconds: Mapped[float]
    cpu_seconds: Mapped[float]
    cpu_peak: Mapped[float]
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    memory_peak_bytes: Mapped[int] = mapped_column(BigInteger)
    processes: Mapped[int]
    read_bytes: Mapped[int | None] = mapped_column(BigInteger)
    written_bytes: Mapped[int | None] = mapped_column(BigInteger)
    disk_bytes: Mapped[int | None] = mapped_column(BigInteger)


class UsageRow(Row):
    """One row of `run_resources`: peaks and totals of one attempt; explained at `Usage`.

    Not in the run's own row: that would be written every few seconds beside its worker, and an
    answer about an ended run holds only while its row is the same.
    """

    __tablename__ = "run_resources"
    __table_args__ = (CheckConstraint(check_in("source", SampleSource), name="valid_source"),)

    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker_id: Mapped[str]
    source: Mapped[str] = mapped_column(String(50))
    sampled_from: Mapped[datetime]
    sampled_until: Mapped[datetime]
    cpu_seconds: Mapped[float]
    cpu_peak: Mapped[float]
    memory_peak_bytes: Mapped[int] = mapped_column(BigInteger)
    processes_peak: Mapped[int]
    read_bytes: Mapped[int | None] = mapped_column(BigInteger)
    written_bytes: Mapped[int | None] = mapped_column(BigInteger)
    disk_bytes: Mapped[int | None] = mapped_column(BigInteger)
    disk_peak_bytes: Mapped[int | None] = mapped_column(BigInteger)

    def to_usage(self) -> Usage:
        """The domain value."""
        return Usage(
            source=SampleSource(self.source),
            sampled_from=self.sampled_from,
            sampled_until=self.sampled_until,
            cpu_seconds=self.cpu_seconds,
            cpu_peak=self.cpu_peak,
            memory_peak_bytes=self.memory_peak_bytes,
            processes_peak=self.processes_peak,
            read_bytes=self.read_bytes,
            written_bytes=self.written_bytes,
            disk_bytes=self.disk_bytes,
            disk_peak_bytes=self.disk_peak_bytes,
        )
