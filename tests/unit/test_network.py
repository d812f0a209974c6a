from __future__ import annotations

import pytest

from core.domain.reach.network import HostRule, NetworkMode, NetworkPolicy, canonical_host


def hosts(*entries: str) -> NetworkPolicy:
    return NetworkPolicy.parse(list(entries))


OPEN = NetworkPolicy.parse("open")
NONE = NetworkPolicy.parse("none")


@pytest.mark.parametrize(
    ("entry", "host", "port", "is_permitted"),
    [
        ("example.com", "example.com", 443, True),
        ("example.com", "example.com", 80, True),
        ("example.com", "example.com", 8443, False),
        ("example.com", "EXAMPLE.com.", 443, True),
        ("Example.COM.", "example.com", 443, True),
        ("example.com", "www.example.com", 443, False),
        ("example.com", "badexample.com", 443, False),
        ("example.com", "example.com.evil.test", 443, False),
        ("example.com:8443", "example.com", 8443, True),
        ("example.com:8443", "example.com", 443, False),
        ("*.example.com", "a.example.com", 443, True),
        ("*.example.com", "a.b.c.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", "badexample.com", 443, False),
        ("*.example.com:22", "git.example.com", 22, True),
        ("bücher.example", "xn--bcher-kva.example", 443, True),
        ("xn--bcher-kva.example", "BÜCHER.example", 443, True),
        ("10.0.0.7", "10.0.0.7", 80, True),
        ("10.0.0.7", "::ffff:10.0.0.7", 80, True),
        ("::ffff:10.0.0.7", "10.0.0.7", 80, True),
        ("10.0.0.7", "167772167", 80, False),
        ("10.0.0.7", "0xa.0.0.7", 80, False),
        ("10.0.0.7", "10.7", 80, False),
        ("10.0.0.7", "010.0.0.7", 80, False),
        ("2001:db8::1", "2001:0DB8:0:0::1", 443, True),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443, True),
        ("[2001:db8::1]", "2001:db8::1", 443, True),
        ("fe80::1", "fe80::1%eth0", 443, False),
        ("localhost:8080", "127.0.0.1", 8080, False),
        ("localhost:8080", "localhost", 8080, True),
    ],
)
def test_a_rule_is_for_its_host_and_its_ports_only(
    entry: str, host: str, port: int, is_permitted: bool
) -> None:
    assert hosts(entry).permits(host, port) is is_permitted


def test_a_rule_for_names_never_matches_an_address() -> None:
    rule = HostRule(host="0.0.1", is_wildcard=True)

    assert not rule.matches("127.0.0.1", 443)


def test_open_permits_every_host_and_none_permits_none() -> None:
    assert OPEN.permits("evil.test", 1)
    assert not NONE.permits("example.com", 443)
    assert not NONE.permits("127.0.0.1", 443)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.0.0.1.",
        "0177.0.0.1",
        "1.2.3.4.5",
        "fe80::1%lo",
        "a b.example",
        "a\tb",
        "a\x00.example.com",
        "a@b.example",
        "-a.example",
        "a" * 64 + ".example",
        "a." * 127 + "example",
        "[::1]",
        "１２７.1",
    ],
)
def test_what_programs_disagree_on_is_no_host(host: str) -> None:
    assert canonical_host(host) is None


def test_full_width_digits_do_not_hide_an_address() -> None:
    assert canonical_host("１２７.0.0.1") is None
    assert canonical_host("127。0。0。1") is None


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("https://example.com", "is a URL"),
        ("example.com/path", "is more than a host"),
        ("user@example.com", "is more than a host"),
        ("10.0.0.0/8", "is more than a host"),
        ("exa mple.com", "is not a host name"),
        ("", "is not a host name"),
        ("*", 'has a "*"'),
        ("*.*.com", 'has a "*"'),
        ("api.*.com", 'has a "*"'),
        ("*example.com", 'has a "*"'),
        ("*.", "is not a host name"),
        ("*.com", "is a whole top-level domain"),
        ("*.10.0.0.7", "before an IP address"),
        ("*.0.0.7", "is not a host name"),
        ("example.com:0", "has no port"),
        ("example.com:70000", "has no port"),
        ("example.com:", "has no port"),
        ("example.com:https", "has no port"),
        ("example.com:٤٤٣", "has no port"),
        ("[::1]:0", "has no port"),
        ("[::1", "is not a host name"),
        ("[example.com]:443", "is not a host name"),
        ("fe80::1%eth0", "is not a host name"),
        ("0x7f000001", "is not a host name"),
        (443, "is not a host"),
        (None, "is not a host"),
    ],
)
def test_a_bad_entry_is_refused_with_how_to_write_it(entry: object, problem: str) -> None:
    with pytest.raises(ValueError, match="write it like") as refused:
        NetworkPolicy.parse(["example.com", entry])

    assert problem in str(refused.value)
    assert repr(entry) in str(refused.value)


@pytest.mark.parametrize("value", ["closed", "example.com", "", None, 1, True, {"hosts": []}])
def test_what_is_no_policy_is_refused_with_the_three_that_there_are(value: object) -> None:
    with pytest.raises(ValueError, match='must be "open", "none", or a list of hosts'):
        NetworkPolicy.parse(value)


def test_an_empty_list_is_refused_and_names_none() -> None:
    with pytest.raises(ValueError, match='write "none"'):
        NetworkPolicy.parse([])


def test_a_policy_is_written_as_it_is_read() -> None:
    entries = ["example.com", "*.example.org:8443", "[::1]:80", "10.0.0.7", "[2001:db8::1]"]

    assert hosts(*entries, "EXAMPLE.com").setting == entries
    assert NetworkPolicy.parse(hosts(*entries).setting) == hosts(*entries)
    assert (OPEN.setting, NONE.setting) == ("open", "none")


LIMIT = hosts("example.com", "*.example.org", "10.0.0.7:8443", "a.test:443", "a.test:80")


@pytest.mark.parametrize(
    ("limit", "wanted", "excess"),
    [
        (OPEN, OPEN, ()),
        (OPEN, hosts("example.com"), ()),
        (OPEN, NONE, ()),
        (NONE, NONE, ()),
        (NONE, OPEN, ("open",)),
        (NONE, hosts("example.com"), ("example.com",)),
        (LIMIT, NONE, ()),
        (LIMIT, LIMIT, ()),
        (LIMIT, OPEN, ("open",)),
        (LIMIT, hosts("example.com:443"), ()),
        (LIMIT, hosts("x.example.org", "*.y.example.org:80"), ()),
        (LIMIT, hosts("a.test"), ()),
        (LIMIT, hosts("example.org", "evil.test"), ("example.org", "evil.test")),
        (LIMIT, hosts("*.example.com", "example.com:22"), ("*.example.com", "example.com:22")),
        (LIMIT, hosts("10.0.0.7"), ("10.0.0.7",)),
    ],
)
def test_a_definition_that_asks_for_more_is_told_what_is_too_much(
    limit: NetworkPolicy, wanted: NetworkPolicy, excess: tuple[str, ...]
) -> None:
    assert wanted.excess_over(limit) == excess


@pytest.mark.parametrize(
    ("limit", "wanted", "result"),
    [
        (OPEN, OPEN, OPEN),
        (OPEN, NONE, NONE),
        (NONE, OPEN, NONE),
        (LIMIT, OPEN, LIMIT),
        (OPEN, LIMIT, LIMIT),
        (LIMIT, NONE, NONE),
        (LIMIT, hosts("evil.test"), NONE),
        (LIMIT, hosts("example.com:443", "evil.test"), hosts("example.com:443")),
        (LIMIT, hosts("b.example.org"), hosts("b.example.org")),
        (hosts("b.example.org:80"), LIMIT, hosts("b.example.org:80")),
        (hosts("*.a.test"), hosts("*.b.a.test:443"), hosts("*.b.a.test:443")),
        (hosts("*.a.test"), hosts("a.test"), NONE),
        (hosts("a.test:443"), hosts("a.test:8443"), NONE),
    ],
)
def test_two_policies_together_permit_what_both_permit(
    limit: NetworkPolicy, wanted: NetworkPolicy, result: NetworkPolicy
) -> None:
    assert limit.narrowed_to(wanted) == result
    assert result.excess_over(limit) == ()


def test_a_policy_without_rules_left_is_none() -> None:
    assert NetworkPolicy.of_rules(()).mode is NetworkMode.NONE
