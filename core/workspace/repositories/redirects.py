"""Redirects of repositories, which are checked like addresses that a person gives.

Hosts redirect after a rename, and from `…/api` to `…/api.git`.  Git follows such a redirect by
itself, to any address, so here it follows none: it says where the redirect leads, and begins anew
there if that may be cloned.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from urllib.parse import urljoin

from core.domain.reach.repositories import RepositoryNotAllowed, RepositoryPolicy
from core.workspace.command import Git
from core.workspace.errors import GitFailed, UnreachableRepository, to_unreachable
from core.workspace.repositories.contact import Contact, find_contact
from core.workspace.source import BadRepository, Source, parse_source

log = logging.getLogger(__name__)

_MAX_REDIRECTS = 5
# What git asks a repository for first.  A redirect must keep it, as in git itself.
_FIRST_REQUEST = "/info/refs?service=git-upload-pack"
_IS_REDIRECT = re.compile(r"returned error: 30[12378]\b")
_LOCATION = re.compile(r"<= Recv header: location: (\S+)", re.IGNORECASE)


def list_refs(
    git: Git, source: Source, policy: RepositoryPolicy, *patterns: str, cwd: Path
) -> tuple[Contact, bytes]:
    """Run `git ls-remote` on a repository, wherever allowed redirects lead.

    Returns:
        The contact for later commands, and the output.

    Raises:
        RepositoryNotAllowed: If the repository, or one that it redirects to, may not be cloned.
        UnreachableRepository: If it does not answer, or is not a repository.
    """
    contact = find_contact(git, source, policy, cwd=cwd)
    for _ in range(_MAX_REDIRECTS + 1):
        try:
            return contact, _ls_remote(git, contact, *patterns, cwd=cwd)
        except GitFailed as error:
            location = _location(git, contact, error, cwd=cwd)
            if location is None:
                raise to_unreachable(error, source.display_url) from error
        contact = _follow(git, source, contact, location, policy, cwd=cwd)
    raise _unusable_redirect(source, "too many redirects")


def _ls_remote(
    git: Git, contact: Contact, *patterns: str, cwd: Path, is_traced: bool = False
) -> bytes:
    traced = {"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1"} if is_traced else {}
    return contact.run(
        git, "ls-remote", "--symref", "--", contact.url, *patterns, cwd=cwd, env=traced
    )


def _location(git: Git, contact: Contact, error: GitFailed, *, cwd: Path) -> str | None:
    """Where a failed request is redirected to; `None` if that was not the reason."""
    if not _IS_REDIRECT.search(error.stderr):
        return None
    try:
        # Only the trace has the header.  It would hide the reason of another failure, so it is
        # not switched on before.
        _ls_remote(git, contact, cwd=cwd, is_traced=True)
    except GitFailed as traced:
        found = _LOCATION.findall(traced.stderr)
        return found[-1] if found else None
    return None


def _follow(
    git: Git,
    source: Source,
    contact: Contact,
    location: str,
    policy: RepositoryPolicy,
    *,
    cwd: Path,
) -> Contact:
    url = urljoin(f"{contact.effective_url.rstrip('/')}{_FIRST_REQUEST}", location)
    if not url.endswith(_FIRST_REQUEST):
        raise _unusable_redirect(source, f"redirect to {url}")
    try:
        target = parse_source(url.removesuffix(_FIRST_REQUEST))
    except BadRepository as error:
        raise _unusable_redirect(source, f"redirect to {url}: {error}") from error
    if target.remote is None or target.remote.scheme != "https":
        raise _unusable_redirect(source, f"redirect to {url}")
    log.info(
        "%s redirects to %s",
        source.display_url,
        target.display_url,
        extra={"event": "repository.redirected"},
    )
    try:
        return find_contact(git, target, policy, cwd=cwd)
    except RepositoryNotAllowed as error:
        raise policy.refusal(
            source.display_url,
            f"it redirects to `{target.display_url}`, and {error.reason}",
            detail=str(error),
        ) from error


def _unusable_redirect(source: Source, detail: str) -> UnreachableRepository:
    return UnreachableRepository(
        f"{source.display_url}: {detail}",
        user_message=f"`{source.display_url}` redirects to an address that is not followed. Give "
        "the address at which the repository is now.",
    )
