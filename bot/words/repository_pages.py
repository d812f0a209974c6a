"""Addresses of commits on the pages of the hosts that are known."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_SHA = re.compile(r"[0-9a-f]{7,64}")
_SCP = re.compile(r"(?:[A-Za-z0-9._-]+@)?([A-Za-z0-9.-]+):(?!/)(.+)")
# The way to a commit, by host.
_COMMITS = {
    "github.com": "commit",
    "gitlab.com": "-/commit",
    "bitbucket.org": "commits",
    "codeberg.org": "commit",
}


def repository_page(source: str | None) -> str | None:
    """The page of a repository; `None` if it is on no host that is known."""
    found = _host_and_path(source or "")
    return None if found is None else f"https://{found[0]}/{found[1]}"


def commit_page(source: str | None, sha: str) -> str | None:
    """The page of a commit; `None` if its repository is on no host that is known."""
    found = _host_and_path(source or "")
    if found is None or not _SHA.fullmatch(sha):
        return None
    return f"https://{found[0]}/{found[1]}/{_COMMITS[found[0]]}/{sha}"


def _host_and_path(source: str) -> tuple[str, str] | None:
    scp = _SCP.fullmatch(source)
    if scp is not None:
        host, path = scp[1], scp[2]
    else:
        try:
            parts = urlsplit(source)
            host, path = parts.hostname or "", parts.path
        except ValueError:
            return None
        if parts.scheme not in ("https", "http", "ssh"):
            return None
    names = [one for one in path.strip("/").removesuffix(".git").split("/") if one]
    if host.lower() not in _COMMITS or len(names) < 2 or ".." in names:
        return None
    return host.lower(), "/".join(quote(one, safe="") for one in names)
