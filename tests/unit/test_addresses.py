"""Hosts in one notation, and which of their addresses are public."""

from __future__ import annotations

import ipaddress

import pytest

from core.domain.reach.addresses import canonical_host, is_loopback_name, is_public


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("GitHub.COM", "github.com"),
        ("github.com.", "github.com"),
        ("localhost.", "localhost"),
        ("10.0.0.7", "10.0.0.7"),
        ("::FFFF:10.0.0.7", "10.0.0.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_a_host_has_one_notation(text: str, host: str) -> None:
    assert canonical_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "fe80::1%eth0", "a..b", "", "-a",
     "bücher.example", "a b"],
)  # fmt: skip
def test_a_notation_on_which_programs_disagree_is_no_host(text: str) -> None:
    assert canonical_host(text) is None


def test_names_of_the_machine_itself_are_known() -> None:
    assert is_loopback_name("localhost")
    assert is_loopback_name("git.localhost")
    assert not is_loopback_name("notlocalhost")
    assert not is_loopback_name("localhost.example")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
        ),
        *("192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255", "224.0.0.1"),
        *("239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1"),
        *("198.51.100.1", "203.0.113.1", "192.88.99.1"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fec0::1"),
        *("fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"),
        *("64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::1"),
        *("2002:a00:1::1", "2001:0:4136:e378::1", "4000::1"),
    ],
)
def test_an_address_of_no_public_host_is_recognised(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("140.82.121.4", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1"),
        *("2606:50c0:8000::153", "2a00:1450:4001::1", "64:ff9b::140.82.121.4"),
        *("::ffff:8.8.8.8", "2002:808:808::1"),
    ],
)
def test_an_address_of_the_internet_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))
