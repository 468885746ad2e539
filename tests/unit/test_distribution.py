"""How the tests are dealt out to several test processes."""

from __future__ import annotations

from tests.conftest import deal


def test_each_share_begins_with_its_part_of_the_long_tests() -> None:
    dealt = deal([["A1", "A2"], ["B"], ["C"], ["D"]], list("abcdefgh"), 3)
    assert [dealt[:4], dealt[4:8], dealt[8:]] == [["A1", "A2", "D", "a"], ["B", *"bcd"], ["C", *"efgh"]]


def test_nothing_is_lost_where_long_tests_exceed_a_share() -> None:
    dealt = deal([["A1", "A2", "A3", "A4"], ["B"]], ["a"], 2)
    assert sorted(dealt) == ["A1", "A2", "A3", "A4", "B", "a"]
