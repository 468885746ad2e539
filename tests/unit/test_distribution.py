"""How the tests are dealt out to several test processes."""

from __future__ import annotations

from tests.conftest import deal


def test_half_of_the_shares_begin_with_tests_that_wait() -> None:
    dealt = deal([["A1", "A2"], ["B"], ["C"]], list("abcdefghijkl"), 4)
    assert [dealt[:4], dealt[4:8], dealt[8:12], dealt[12:]] == [
        ["A1", "A2", "C", "l"],
        ["B", *"ijk"],
        list("efgh"),
        list("abcd"),
    ]


def test_nothing_is_lost_where_tests_that_wait_exceed_a_share() -> None:
    dealt = deal([["A1", "A2", "A3", "A4"], ["B"]], ["a"], 2)
    assert sorted(dealt) == ["A1", "A2", "A3", "A4", "B", "a"]
