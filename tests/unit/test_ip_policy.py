"""Policy of IP addresses: public ones are allowed, private ones are rejected, also inside of others."""

from __future__ import annotations

import pytest

from previewops.worker.assets.ip_policy import rejection_reason


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001:80b::200e"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert rejection_reason(address) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "of this network"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("169.254.169.254", "link-local"),
        ("100.64.0.1", "CGNAT"),
        ("100.127.255.255", "CGNAT"),
        ("192.0.0.192", "protocols"),
        ("192.88.99.1", "6to4"),
        ("198.18.0.1", "benchmarks"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "embedded"),
        ("::ffff:127.0.0.1", "embedded"),
        ("::ffff:0:127.0.0.1", "embedded"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b:1::a00:1", "NAT64"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2002:7f00:1::", "6to4"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "interface"),
        ("2606:4700::1111%1", "interface"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "documentation"),
        ("localhost", "not an address"),
        ("0x7f000001", "not an address"),
        ("127.1", "not an address"),
        ("", "not an address"),
    ],
)
def test_other_addresses_are_rejected(address: str, reason: str) -> None:
    assert reason in str(rejection_reason(address))
