"""Whether a workspace may go: it is packed, and restoring it is tried.  Everything blocks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.domain.reach.repositories import RepositoryNotAllowed, RepositoryPolicy
from core.domain.runs.work.carried_work import Bundle, BundleTooLarge
from core.domain.workspaces.stay import Stay, StayReason
from core.workspace.cleaning.proof import Proof
from core.workspace.cleaning.rehearsal import Rehearsal, Remote, open_rehearsal
from core.workspace.cleaning.state import EXAMINED, Stays, Survey
from core.workspace.command import Git
from core.workspace.errors import GitFailed, WorkspaceError
from core.workspace.mirror import MIRRORS_FOLDER, current_mirror, list_remote_refs
from core.workspace.source import BadRepository, Source
from core.workspace.work.carry import MAX_BUNDLE_BYTES, create_bundle
from core.workspace.work.changes import save

log = logging.getLogger(__name__)

# Only to find out whether a large branch was merged; such a bundle is never stored.
_MAX_EXAMINED_BYTES = 200_000_000


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A workspace that can be restored byte for byte from `bundle`.

    Attributes:
        bundle: What has to be stored before the workspace goes; `None` if it has no commit and no
            file, or if nothing has to be stored.
        is_delivered: Whether its repository has all of its work.
    """

    bundle: Bundle | None
    is_delivered: bool


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Examines the workspaces of one home with one `Git`.

    Attributes:
        root: The home.
        policy: Which repositories may be read.
        max_bytes: The largest bundle that can be stored.
    """

    git: Git
    root: Path
    policy: RepositoryPolicy
    max_bytes: int = MAX_BUNDLE_BYTES

    def of_newest(
        self, path: Path, survey: Survey, *, source: Source | None, base: str | None
    ) -> Examined:
        """Examine the newest workspace of a session, which is packed for it.

        Args:
            path: The workspace.
            survey: What was found in it.
            source: Its repository; `None` if it has none.
            base: The commit at which it began.

        Raises:
            Stays: If something would be lost.
        """
        with self._remote(source, survey) as remote:
            packed = self._pack(path, survey, base)
            with open_rehearsal(self.git, remote, object_format=survey.object_format) as rehearsal:
                self._load(rehearsal, packed)
                proof = Proof(self.git, path, survey, packed, rehearsal)
                is_delivered = proof.is_delivered
                if packed is not None and len(packed.data) > self.max_bytes:
                    smaller = self._smaller(path, packed, survey, rehearsal)
                    if smaller is None:
                        size = f"{len(packed.data) / 1e6:,.1f} MB"
                        raise Stays(Stay.of(StayReason.TOO_LARGE, [size]))
                    proof = replace(proof, bundle=smaller)
                proof.require()
                return Examined(bundle=proof.bundle, is_delivered=is_delivered)

    def of_older(
        self, path: Path, survey: Survey, *, source: Source | None, stored: Bundle | None
    ) -> Examined:
        """Examine an older copy of a session's workspace, which must not be stored.

        Args:
            path: The workspace.
            survey: What was found in it.
            source: Its repository; `None` if it has none.
            stored: The newest stored work of the session.

        Raises:
            Stays: If something would be lost.
        """
        with (
            self._remote(source, survey) as remote,
            open_rehearsal(self.git, remote, object_format=survey.object_format) as rehearsal,
        ):
            self._load(rehearsal, stored)
            proof = Proof(self.git, path, survey, stored, rehearsal)
            if survey.head is not None and stored is not None:
                # The session has gone on since: what counts is what this copy has checked out.
                proof = replace(proof, bundle=replace(stored, saved_commit=None))
                if rehearsal.is_on_remote(survey.head) or rehearsal.is_reachable(
                    survey.head, {stored.newest_commit, *stored.references.values()}
                ):
                    own = replace(stored, saved_commit=survey.head)
                    proof = replace(proof, bundle=own)
            proof.require()
            return Examined(bundle=None, is_delivered=True)

    @contextmanager
    def _remote(self, source: Source | None, survey: Survey) -> Iterator[Remote]:
        """What the repository offers, asked now.

        Raises:
            Stays: If it does not answer.
        """
        if source is None:
            yield Remote(tags={})
            return
        try:
            advertised = list_remote_refs(self.git, source, self.policy, cwd=self.root)
            tags = {}
            if survey.tags:
                contact = advertised.contact
                listed = contact.run(self.git, "ls-remote", "--tags", "--refs", "--",
                                     contact.url, cwd=self.root)  # fmt: skip
                for line in listed.decode(errors="replace").splitlines():
                    one, _, name = line.partition("\t")
                    tags[name] = one
        except (WorkspaceError, RepositoryNotAllowed, BadRepository) as error:
            if self.git.is_stopped:
                raise
            raise Stays(Stay.of(StayReason.UNREACHABLE, [source.display_url])) from error
        tips = {*advertised.branches.values(), *([advertised.head] if advertised.head else [])}
        root = self.root / MIRRORS_FOLDER
        with current_mirror(
            self.git, source, advertised, root=root, lock_timeout=self.git.timeout
        ) as mirror:
            yield Remote(
                tips=frozenset(tips), tags=tags, default_tip=advertised.head, mirror=mirror
            )

    def _pack(self, path: Path, survey: Survey, base: str | None) -> Bundle | None:
        """All branches, private references, and the files as they are; `None` without any."""
        if survey.head is None and survey.branches:
            # Nothing tells on which of them it stands.
            raise Stays(Stay.of(StayReason.OPERATION, ["a new branch without a commit"]))
        if survey.head is None and not survey.listing.files:
            return None
        saved = save(self.git, path, EXAMINED, only_if_uncommitted=True)
        commit = str(saved["commit"]) if "commit" in saved else None
        try:
            return self._bundle(path, survey, base, commit, _MAX_EXAMINED_BYTES)
        except BundleTooLarge as error:
            size = f"{error.size / 1e6:,.1f} MB"
            raise Stays(Stay.of(StayReason.TOO_LARGE, [size])) from error

    def _bundle(
        self, path: Path, survey: Survey, base: str | None, saved: str | None, max_bytes: int
    ) -> Bundle | None:
        return create_bundle(
            self.git,
            path,
            since=base,
            saved=saved,
            start=None,
            max_bytes=max_bytes,
            private=survey.private,
            is_always=True,
        )

    def _load(self, rehearsal: Rehearsal, bundle: Bundle | None) -> None:
        if bundle is None:
            return
        try:
            rehearsal.load(bundle)
        except GitFailed as error:
            if self.git.is_stopped or error.status is None or error.is_disk_error:
                raise
            raise Stays(Stay.of(StayReason.UNPUSHED, ["its stored work"])) from error

    def _smaller(
        self, path: Path, packed: Bundle, survey: Survey, rehearsal: Rehearsal
    ) -> Bundle | None:
        """A bundle that leaves out what the repository has by now; `None` if none fits."""
        head = survey.head
        if head is None:
            return None
        if rehearsal.is_on_remote(head):
            try:
                return self._bundle(path, survey, head, packed.saved_commit, self.max_bytes)
            except BundleTooLarge:
                log.info(
                    "workspace %s is too large to be stored, though it was pushed",
                    path.name,
                    extra={"event": "workspace.too_large", "workspace_id": path.name},
                )
        merged = self._on_remote(head, rehearsal)
        if packed.saved_commit is not None or merged is None:
            return None
        branches = {
            name: self._on_remote(commit, rehearsal) for name, commit in survey.branches.items()
        }
        return Bundle(
            data=b"",
            branch=packed.branch,
            base_commit=merged,
            head_commit=merged,
            references={name: commit for name, commit in branches.items() if commit is not None},
        )

    def _on_remote(self, commit: str, rehearsal: Rehearsal) -> str | None:
        """A commit, or the one as which it was merged; `None` if the repository has neither."""
        return commit if rehearsal.is_on_remote(commit) else rehearsal.squash_commit(commit)
