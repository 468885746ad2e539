"""What texts may contain at each outlet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from previewops.contract.uris import AssetPolicy, UriNotAllowed, format_roots, parse_uri
from previewops.disclosure import for_rest, hide_query, payload_for_display, redact
from previewops.message_formatting import json_pointer, quote

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


ADDRESSES = [
    "https://cdn.example/it's.png?sig=hunter2",
    'https://cdn.example/a"b.png?sig=hunter2',
    "https://cdn.example/a`b<c>.png?sig=hunter2",
    "https://cdn.example/(1).png?sig='hunter2'",
    "HTTPS://CDN.EXAMPLE/a.png?sig=hunter2#hunter2",
    "s3://bucket/key?X-Amz-Signature=hunter2",
    "https://ann:hunter2@cdn.example/a.png",
    "https://proxy.example/https://cdn.example/a.png?sig=hunter2",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_address_reaches_an_outlet_with_its_query(address: str) -> None:
    texts = [
        address,
        f"asset a ({address}): gone",
        f"see {address}, or {address}.",
        f"cdn_{address}",
        f"for url {address!r}",
        f"found {quote(address)}",
        json.dumps({"uri": address, "b": 1}),
        json.dumps(json.dumps({"uri": address})),
        f"REDIS_URL=redis://h:6379/0,{address}",
    ]
    for text in texts:
        assert "hunter2" not in redact(text), text
        assert "hunter2" not in str(for_rest({"reason": text})), text
        assert "hunter2" not in str(payload_for_display({"title": text, "uri": address, text: 1})), text


def test_an_address_with_blanks_is_shown_without_its_query() -> None:
    address = "https://cdn.example/a b.png?sig=hunter2 c"
    for text in (f"found {quote(address)}", json.dumps([address])):
        assert "hunter2" not in redact(text)
    assert payload_for_display([address]) == ["https://cdn.example/a b.png?***"]


def test_text_around_addresses_is_kept() -> None:
    text = """see (https://h/a?b), "https://h/c?d", <https://h/e?f>. redis://ann:pw@h:1/0?timeout=1; end"""
    shown = """see (https://h/a?***), "https://h/c?***", <https://h/e?***>. redis://ann:***@h:1/0?timeout=1; end"""
    assert redact(text) == shown


@pytest.mark.parametrize(
    "uri",
    [
        "https:/cdn.example/a.png?sig=hunter2",
        "https:\\\\cdn.example/a.png?sig=hunter2",
        "https://cdn.example/a b.png?sig=hunter2",
        "https://cdn.example/a\u3000b.png?sig=hunter2",
        "https://cdn.example/a.png#hunter2",
        "../a.png?sig=hunter2",
        "ftp://cdn.example/a.png?sig=hunter2",
        "file:///a.png?sig=hunter2",
        "//cdn.example/a.png?sig=hunter2",
    ],
)
def test_a_rejected_uri_is_reported_without_its_query(uri: str) -> None:
    with pytest.raises(UriNotAllowed) as caught:
        AssetPolicy((Path("/srv/assets"),)).check(parse_uri(uri))  # type: ignore[arg-type] # no data: uri
    assert "hunter2" not in str(caught.value)


def test_a_key_that_is_an_address_is_in_no_pointer() -> None:
    assert json_pointer(("metadata", "https://h/a?sig=hunter2", "b")) == "/metadata"


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
        (format_roots([Path("/srv/my secret/a"), Path("/srv/b")]), 'paths under "…/a", …/b'),
        ("""No such file: "/srv/it's (1)/a", and""", 'No such file: "…/a", and'),
        ("FILE:///srv/a", "…/a"),
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
