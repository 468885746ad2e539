"""What texts may contain at each outlet."""

from __future__ import annotations

import pytest

from previewops.disclosure import for_rest, hide_query, payload_for_display

SIGNED = "https://cdn.example/a.png?X-Amz-Signature=hunter2&X-Amz-Credential=hunter2"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (SIGNED, "https://cdn.example/a.png?***"),
        ("https:/cdn/a.png?sig=hunter2", "https:/cdn/a.png?***"),
        ("//cdn/a.png?sig=hunter2", "//cdn/a.png?***"),
        ("a.png?sig=hunter2#x", "a.png?***"),
        ("https://cdn/a.png#hunter2", "https://cdn/a.png?***"),
        ("pictures/a.png", "pictures/a.png"),
        ("data:image/png;base64,Pz8/", "data:image/png;base64,Pz8/"),
    ],
)
def test_uris_are_shown_without_their_query(uri: str, shown: str) -> None:
    assert hide_query(uri) == shown
    payload = {"previewRequest": {"assets": [{"uri": uri}], "audio": {"uri": uri}}}
    view = payload_for_display(payload)
    assert view == {"previewRequest": {"assets": [{"uri": shown}], "audio": {"uri": shown}}}
    assert payload["previewRequest"]["audio"] == {"uri": uri}, "the payload itself was changed"


def test_addresses_anywhere_in_a_payload_are_shown_without_their_query() -> None:
    payload = {"x-back": SIGNED, "a": [{"text": f"see {SIGNED} there", "count": 1, "none": None}]}
    assert "hunter2" not in str(payload_for_display(payload))
    assert payload_for_display(["a token: here", None, "1/2"]) == ["a token: here", None, "1/2"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it is at /proc/15465/environ", "it is at …/environ"),
        ("searched /srv/a/x.png, /srv/b/x.png; put", "searched …/x.png, …/x.png; put"),
        ('searched "/srv/my pictures/a.png"; put', 'searched "…/a.png"; put'),
        ("No such file or directory: '/srv/a b/c.png'", "No such file or directory: '…/c.png'"),
        ('  File "/usr/lib/x/previewops/worker/a.py", line 3', '  File "…/a.py", line 3'),
        ("asset a (file:///srv/a.png): gone", "asset a (…/a.png): gone"),
        ("roots=/srv/a:/srv/b", "roots=…/b"),
        ("DATA_DIR (/srv/data/) is full", "DATA_DIR (…/data) is full"),
        (
            "/previewRequest/assets/0/uri: has the wrong scheme",
            "/previewRequest/assets/0/uri: has the wrong scheme",
        ),
        ("invalid payload: /x-camera: is short", "invalid payload: /x-camera: is short"),
        ("https://cdn.example/srv/a.png", "https://cdn.example/srv/a.png"),
        ("frames/001.webp and 1280x720/2 or 16/9", "frames/001.webp and 1280x720/2 or 16/9"),
        (f"asset a ({SIGNED}): no", "asset a (https://cdn.example/a.png?***): no"),
        ("redis://ann:hunter2@h/1", "redis://ann:***@h/1"),
        ("GET …/artifacts lists the names", "GET …/artifacts lists the names"),
    ],
)
def test_rest_tells_no_path_of_a_host(text: str, shown: str) -> None:
    assert for_rest({"a": [text, 1, None]}) == {"a": [shown, 1, None]}


def test_rest_tells_bundles_relative_to_the_data_folder() -> None:
    record = {"result": {"bundle": "/srv/data/previews/lessons/job-1", "artifacts": [{"path": "sheet.webp"}]}}
    assert for_rest(record)["result"] == {
        "bundle": "previews/lessons/job-1",
        "artifacts": [{"path": "sheet.webp"}],
    }


@pytest.mark.parametrize(
    "unit",
    ["/", "/a", "'/", '"/a', "https://", "?a", "x=/", "/x-", "token=", "file://", "data:,", "redis://a,"],
)
def test_work_grows_linearly_with_the_text(unit: str) -> None:
    """Texts of jobs are foreign: a pattern that backtracks would take minutes here."""
    for_rest(unit * 200_000)
