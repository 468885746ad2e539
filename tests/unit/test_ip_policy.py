"""Policy of IP addresses: public ones are allowed, private ones are rejected, also inside of others."""

from __future__ import annotations

import pytest

from previewops.worker.assets.ip_policy import rejection_reason


@pytest.mark.parametrize(
    "address",
    [
        *("93.184.215.14", "1.1.1.1", "168.63.129.15", "168.63.129.17", "172.15.255.255", "172.32.0.0"),
        *("100.63.255.255", "100.128.0.0", "169.253.255.255", "192.88.98.1", "223.255.255.255", "11.0.0.0"),
        *("2606:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888", "2001:200::1", "2c0f::1"),
        *("2003::1", "2001:db9::1", "2606:4700::5efd:a00:1"),
    ],
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
        ("168.63.129.16", "Azure"),
        ("100.100.100.200", "CGNAT"),
        ("169.254.170.2", "link-local"),
        ("192.0.0.170", "protocols"),
        ("192.0.2.1", "documentation"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("192.31.196.1", "AS112"),
        ("192.52.193.1", "AMT"),
        ("192.175.48.1", "AS112"),
        ("1::1", "not global unicast"),
        ("4000::1", "not global unicast"),
        ("200::1", "not global unicast"),
        ("1fff:ffff::1", "not global unicast"),
        ("e000::1", "not global unicast"),
        ("::1.2.3.4", "embedded"),
        ("::ffff:8.8.8.8", "embedded"),
        ("64:ff9b::808:808", "NAT64"),
        ("64:ff9b:1:ffff::7f00:1", "NAT64"),
        ("64:ff9b:2::1", "not global unicast"),
        ("100::1", "discarded"),
        ("100:0:0:1::1", "not global unicast"),
        ("2001:2::1", "protocols"),
        ("2001:10::1", "protocols"),
        ("2001:20::1", "protocols"),
        ("2001:30::1", "protocols"),
        ("2002:808:808::1", "6to4"),
        ("2620:4f:8000::1", "AS112"),
        ("3fff::1", "documentation"),
        ("3fff:fff:ffff::1", "documentation"),
        ("5f00::1", "segment routing"),
        ("2606:4700::5efe:a00:1", "ISATAP"),
        ("2606:4700::200:5efe:7f00:1", "ISATAP"),
        ("fd00:ec2::254", "private"),
        ("fd20:ce::254", "private"),
        ("localhost", "not an address"),
        ("0x7f000001", "not an address"),
        ("127.1", "not an address"),
        ("", "not an address"),
    ],
)
def test_other_addresses_are_rejected(address: str, reason: str) -> None:
    assert reason in str(rejection_reason(address))
