"""`[repositories]` in signalbox.toml: what may be cloned, as far as an address tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.assembly.config.bad_setting import BadSetting
from bot.assembly.settings import load_settings
from core.domain.reach.repositories import DEFAULT_POLICY, RepositoryNotAllowed, RepositoryPolicy
from core.workspace.source import BadRepository, parse_source


def policy_of(home: Path, table: str) -> RepositoryPolicy:
    (home / "signalbox.toml").write_text(f"[repositories]\n{table}\n")
    return load_settings(SIGNALBOX_HOME=home).config.repositories.policy


def is_allowed(address: str, policy: RepositoryPolicy) -> bool:
    try:
        parse_source(address).require_allowed(policy)
    except RepositoryNotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/acme/api.git",
        "https://git.acme.example:8443/team/api",
        "git@github.com:acme/api.git",
        "ssh://git@git.acme.example:2222/api",
        "https://140.82.121.4/acme/api",
    ],
)
def test_without_settings_every_host_that_may_be_public_is_allowed(address: str) -> None:
    assert is_allowed(address, DEFAULT_POLICY)


@pytest.mark.parametrize(
    "address",
    [
        "/srv/git/api",
        "file:///srv/git/api",
        "https://127.0.0.1/x",
        "https://127.0.0.1:8443/x",
        "https://localhost/x",
        "https://LOCALHOST:1/x",
        "https://git.localhost/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[::ffff:7f00:1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://github.com@127.0.0.1/x",
        "https://github.com:443@127.0.0.1/x",
        "https://github.com\\@127.0.0.1/x",
        "ssh://git@10.0.0.7/x",
        "ssh://github.com@10.0.0.7:22/x",
        "git@192.168.1.1:acme/api",
        "git@localhost:acme/api",
        "git@localhost.:acme/api",
    ],
)
def test_without_settings_no_local_path_and_no_private_address_is_allowed(address: str) -> None:
    assert not is_allowed(address, DEFAULT_POLICY)


@pytest.mark.parametrize(
    "address",
    [
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://0x7f000001/x",
        "https://0177.0.0.1/x",
        "https://127.1/x",
        "ssh://git@2130706433/x",
        "git@0x7f.1:x",
        "https://localhost./x",
        "https://bücher.example/x",
        "https://[fe80::1%25eth0]/x",
        "https://host:0/x",
        "http://2130706433/",
        "http://0x7f.1",
        "https://github.com/acme/../evil/api",
        "https://github.com/acme/%2e%2e/evil/api",
        "https://github.com/acme/%2E./evil/api",
        "https://github.com/acme%2f..%2fevil/api",
        "https://github.com/acme/..%5cevil",
        "ssh://git@github.com/acme/../evil/api",
        "ssh://git@github.com/acme/a%0ab",
        "git@github.com:acme/../evil/api",
        "/srv/git/../../etc",
        "file:///srv/git/%2e%2e/x",
    ],
)
def test_a_notation_that_programs_read_differently_is_no_address(address: str) -> None:
    with pytest.raises(BadRepository):
        parse_source(address)


def test_with_hosts_only_these_are_allowed_also_at_private_addresses(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path, 'hosts = ["GitHub.com", "10.0.0.7", "git.corp.example:8443", "[::1]:9"]'
    )

    for address in (
        "https://github.com/acme/api",
        "git@GITHUB.com:acme/api",
        "https://10.0.0.7:3000/acme/api",
        "ssh://git@10.0.0.7/acme/api",
        "https://git.corp.example:8443/acme/api",
        "https://[::1]:9/x",
    ):
        assert is_allowed(address, policy), address
    for address in (
        "https://gitlab.com/acme/api",
        "https://sub.github.com/acme/api",
        "https://github.com.evil.example/acme/api",
        "https://10.0.0.8/acme/api",
        "https://git.corp.example/acme/api",
        "https://[::1]/x",
        "/srv/git/api",
    ):
        assert not is_allowed(address, policy), address


def test_a_star_adds_every_public_host_to_the_listed_ones(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, 'hosts = ["*", "10.0.0.7"]')

    assert is_allowed("https://github.com/acme/api", policy)
    assert is_allowed("https://10.0.0.7/acme/api", policy)
    assert not is_allowed("https://10.0.0.8/acme/api", policy)


def test_with_owners_only_their_repositories_are_allowed(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, 'owners = ["GitHub.com/Acme", "gitlab.com/group/tools"]')

    for address in (
        "https://github.com/acme/api.git",
        "https://github.com/ACME/api",
        "ssh://git@github.com/acme/api",
        "git@github.com:acme/api.git",
        "git@github.com:/acme/api.git",
        "https://gitlab.com/group/tools/deep/api",
    ):
        assert is_allowed(address, policy), address
    for address in (
        "https://github.com/acme",
        "https://github.com/acme-evil/api",
        "https://github.com/evil/acme/api",
        "git@github.com:evil/api.git",
        "https://gitlab.com/group/other/api",
        "https://gitlab.com/group/toolsmith/api",
        "https://bitbucket.org/acme/api",
    ):
        assert not is_allowed(address, policy), address


def test_owners_narrow_a_listed_host_and_leave_the_others(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path,
        'hosts = ["github.com", "git.corp.example"]\nowners = ["github.com/acme/api"]',
    )

    assert is_allowed("https://github.com/acme/api.git", policy)
    assert not is_allowed("https://github.com/acme/other", policy)
    assert is_allowed("https://git.corp.example/any/thing", policy)
    assert not is_allowed("https://gitlab.com/any/thing", policy)


def test_an_owner_on_a_private_host_needs_the_host_too(tmp_path: Path) -> None:
    owners = 'owners = ["10.0.0.7/acme"]'

    assert not is_allowed("https://10.0.0.7/acme/api", policy_of(tmp_path, owners))
    both = policy_of(tmp_path, f'{owners}\nhosts = ["10.0.0.7"]')
    assert is_allowed("https://10.0.0.7/acme/api", both)
    assert not is_allowed("https://10.0.0.7/evil/api", both)


def test_only_paths_in_a_listed_folder_are_allowed(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, 'local = ["/srv/git"]')

    assert is_allowed("/srv/git/team/api", policy)
    assert is_allowed("file:///srv/git/api", policy)
    assert not is_allowed("/srv/github/api", policy)
    assert not is_allowed("file:///srv/github/api", policy)
    assert not is_allowed("/srv", policy)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('hosts = "github.com"', 'must be a list like ["git.example.com"]'),
        ('hosts = ["https://github.com"]', "write only its host"),
        ('hosts = ["git@github.com"]', "write only its host"),
        ('hosts = ["github.com/acme"]', "belongs in `owners`"),
        ('hosts = ["10.0.0.0/8"]', "listed host by host"),
        ('hosts = ["*.example.com"]', '"*" alone'),
        ('hosts = ["2130706433"]', "'2130706433' is no host"),
        ('hosts = ["bücher.example"]', "xn--"),
        ('hosts = ["host:99999"]', "'host:99999' is no host"),
        ('hosts = [""]', "'' is no host"),
        ("hosts = [5]", "5 is no host"),
        ("owners = []", "leave the key out"),
        ('owners = ["acme"]', "'acme' names no owner"),
        ('owners = ["github.com/"]', "names no owner"),
        ('owners = ["https://github.com/acme"]', 'like "github.com/acme"'),
        ('owners = ["github.com/*"]', "names no owner"),
        ('owners = ["*/acme"]', "wildcard"),
        ('owners = ["0x7f.1/acme"]', "'0x7f.1' is no host"),
        ('local = ["srv/git"]', "'srv/git' is no absolute path"),
        ('local = "/srv/git"', 'must be a list like ["/srv/git"]'),
        ('local = ["/srv/../etc"]', "name one folder"),
        ('folders = ["/srv"]', "is not known"),
    ],
)
def test_a_wrong_entry_stops_the_start_with_a_line_about_it(
    tmp_path: Path, line: str, hint: str
) -> None:
    with pytest.raises(BadSetting) as refused:
        policy_of(tmp_path, line)

    assert hint in refused.value.user_message
    assert f"repositories.{line.partition(' ')[0]}" in refused.value.user_message
    assert "\n" not in refused.value.user_message


def test_a_refusal_says_what_is_allowed(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path, 'hosts = ["git.corp.example"]\nowners = ["github.com/acme"]\nlocal = ["/srv/git"]'
    )

    with pytest.raises(RepositoryNotAllowed) as refused:
        parse_source("https://gitlab.com/x/y").require_allowed(policy)

    assert refused.value.user_message == (
        "`https://gitlab.com/x/y` may not be cloned: its host gitlab.com is not allowed. Allowed: "
        "the host `git.corp.example`; repositories of `github.com/acme`; folders on the worker: "
        "`/srv/git`."
    )


def test_a_policy_that_allows_nothing_says_so(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, "hosts = []")

    assert policy.summary == "nothing"
    assert not is_allowed("https://github.com/acme/api", policy)


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    hosts = ", ".join(f'"h{number}.example"' for number in range(8))

    assert "`h4.example` and 3 more" in policy_of(tmp_path, f"hosts = [{hosts}]").summary
