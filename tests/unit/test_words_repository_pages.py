from __future__ import annotations

import pytest

from bot.words.repository_pages import commit_page, repository_page

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "page"),
    [
        ("https://github.com/acme/api", f"https://github.com/acme/api/commit/{SHA}"),
        ("https://github.com/acme/api.git", f"https://github.com/acme/api/commit/{SHA}"),
        ("git@github.com:acme/api.git", f"https://github.com/acme/api/commit/{SHA}"),
        ("ssh://git@gitlab.com/a/b/c.git", f"https://gitlab.com/a/b/c/-/commit/{SHA}"),
        ("https://user:token@codeberg.org/a/b/", f"https://codeberg.org/a/b/commit/{SHA}"),
        ("https://bitbucket.org/a/b", f"https://bitbucket.org/a/b/commits/{SHA}"),
    ],
)
def test_commits_of_known_hosts_have_a_page(source: str, page: str) -> None:
    assert commit_page(source, SHA) == page


@pytest.mark.parametrize(
    "source",
    [
        None, "", "/srv/git/api", "https://evil.example/github.com/a/b", "javascript:alert(1)",
        "https://github.com.evil.example/a/b", "https://github.com/a", "https://github.com/a/../b",
        "http://[", "file://github.com/a/b", "C:/a/b",
    ],
)  # fmt: skip
def test_other_repositories_have_none(source: str | None) -> None:
    assert commit_page(source, SHA) is None
    assert repository_page(source) is None


def test_a_name_cannot_lead_elsewhere() -> None:
    assert repository_page('https://github.com/a/b"><script>') == (
        "https://github.com/a/b%22%3E%3Cscript%3E"
    )
    assert commit_page("https://github.com/a/b", "../../evil") is None
