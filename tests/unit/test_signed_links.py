"""Signed links: valid for one purpose, path and time, whatever else is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from starlette.types import Scope

from previewops.api.cors import CorsPolicy
from previewops.api.link_access import LINK, LinkRejected, accept_link
from previewops.api.sendfile import sendfile_header
from previewops.errors import UsageError
from previewops.queue.job_links import job_links, open_signer, upload_link
from previewops.settings import Settings
from previewops.signed_links import LinkExpired, LinkInvalid, LinkPurpose, LinkSigner, expiry
from previewops.states import JobState
from tests.tui import scenes

KEY, OLD = "a-key-of-more-than-32-characters-0", "an-older-key-of-32-characters-or-so"
SIGNER = LinkSigner((KEY,))
PATH = "/api/preview/jobs/a/artifacts/frames/ä 1.webp"
NOW = 1_000_000.0


def scope_of(link: str, method: str = "GET") -> Scope:
    parts = urlsplit(link)
    return {
        "type": "http",
        "method": method,
        "path": unquote(parts.path),
        "query_string": parts.query.encode(),
    }


def test_a_link_permits_its_path_until_it_expires() -> None:
    link = SIGNER.link(LinkPurpose.READ, PATH, int(NOW) + 60, digest="0" * 64)
    for method in ("GET", "HEAD"):
        scope = scope_of(link, method)
        assert accept_link(SIGNER, scope, NOW) == scope[LINK]
        assert scope[LINK].expires_s == NOW + 60
        assert scope["query_string"] == b"sha256=" + b"0" * 64
    with pytest.raises(LinkRejected, match="expired"):
        accept_link(SIGNER, scope_of(link), NOW + 60)


@pytest.mark.parametrize(
    "change",
    [
        lambda link: link.replace("/jobs/a/", "/jobs/b/"),
        lambda link: link.replace("1.webp", "2.webp"),
        lambda link: link.replace("expires=1000060", "expires=1000061"),
        lambda link: link.replace("expires=1000060", "expires=01000060x"),
        lambda link: link.replace("expires=1000060", "expires="),
        lambda link: link.replace("expires=1000060", "expires=" + "9" * 5000),
        lambda link: link[:-1] + ("A" if link[-1] != "A" else "B"),
        lambda link: link.partition("signature=")[0] + "signature=",
        lambda link: link.partition("signature=")[0] + "signature=%FF%00",
        lambda link: link + "&a=1" * 50,
    ],
)
def test_a_changed_link_permits_nothing(change: Callable[[str], str]) -> None:
    link = SIGNER.link(LinkPurpose.READ, PATH, int(NOW) + 60)
    changed = change(link)
    with pytest.raises(LinkRejected):
        accept_link(SIGNER, scope_of(changed), NOW)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_link_to_read_permits_no_change(method: str) -> None:
    link = SIGNER.link(LinkPurpose.READ, "/api/preview/jobs/a/status", int(NOW) + 60)
    with pytest.raises(LinkRejected):
        accept_link(SIGNER, scope_of(link, method), NOW)


def test_a_link_to_upload_permits_uploads_alone() -> None:
    link, expires_s = upload_link(SIGNER, now_s=NOW)
    assert expires_s == NOW + 600
    for method, path in (("POST", ""), ("PUT", "/" + "0" * 64), ("HEAD", "/" + "0" * 64)):
        scope = scope_of(link.replace("?", f"{path}?"), method)
        assert accept_link(SIGNER, scope, NOW) is not None
    for method, path in (
        ("DELETE", "/api/preview/assets"),
        ("GET", "/api/preview/jobs/a/status"),
        ("POST", "/api/preview/jobs"),
        ("POST", "/api/preview/assetsx"),
    ):
        scope = {**scope_of(link, method), "path": path}
        with pytest.raises(LinkRejected):
            accept_link(SIGNER, scope, NOW)


def test_requests_without_a_link_are_left_to_the_token() -> None:
    scope = {**scope_of("/api/preview/jobs/a/status?x=1"), "query_string": b"x=1"}
    assert accept_link(SIGNER, scope, NOW) is None
    assert scope["query_string"] == b"x=1"
    link = SIGNER.link(LinkPurpose.READ, PATH, int(NOW) + 60)
    assert accept_link(None, scope_of(link), NOW) is None


def test_an_older_key_is_still_accepted_and_signs_nothing() -> None:
    both = LinkSigner((KEY, OLD))
    link = LinkSigner((OLD,)).link(LinkPurpose.READ, "/x", int(NOW) + 60)
    query = dict(parse_qsl(urlsplit(link).query))
    assert both.check(LinkPurpose.READ, "/x", query, NOW) == NOW + 60
    with pytest.raises(LinkInvalid):
        SIGNER.check(LinkPurpose.READ, "/x", query, NOW)
    with pytest.raises(LinkExpired):
        both.check(LinkPurpose.READ, "/x", query, NOW + 61)
    assert both.link(LinkPurpose.READ, "/x", 1) == SIGNER.link(LinkPurpose.READ, "/x", 1)


@pytest.mark.parametrize("lifetime_s", [60, 61, 3_600, 604_800])
def test_links_stay_the_same_for_a_while(lifetime_s: int) -> None:
    ends = {expiry(NOW + second, lifetime_s) - NOW for second in range(20)}
    assert len(ends) <= 3
    for second in range(20):
        left = expiry(NOW + second, lifetime_s) - NOW - second
        assert lifetime_s < left + 1 <= lifetime_s + max(15, lifetime_s // 4) + 1


def test_links_of_a_job() -> None:
    artifacts = [{"path": "poster.webp", "sha256": "0" * 64}, {"path": 3}, "damaged"]
    done = scenes.record("a", JobState.COMPLETED, result={"bundle": "x", "artifacts": artifacts})
    links = job_links(LinkSigner((KEY,), "https://p.example"), done, now_s=NOW, lifetime_s=60)
    assert [*links.files] == ["poster.webp"]
    assert links.files["poster.webp"].startswith(
        "https://p.example/api/preview/jobs/a/artifacts/poster.webp?expires="
    )
    waiting = scenes.record("a", JobState.WAITING)
    short = job_links(SIGNER, waiting, now_s=NOW, lifetime_s=60, until_s=int(NOW) + 5)
    assert (short.expires_s, short.files) == (NOW + 5, {})


def test_the_key_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{KEY},{OLD}\n")
    signer = open_signer(Settings.from_env({"PREVIEW_LINK_KEY_FILE": str(path)}))
    assert signer == open_signer(Settings.from_env({"PREVIEW_LINK_KEY": f"{KEY}, {OLD}"}))
    assert KEY not in repr(signer)
    assert open_signer(Settings()) is None
    path.write_text("short")
    with pytest.raises(UsageError) as caught:
        open_signer(Settings.from_env({"PREVIEW_LINK_KEY_FILE": str(path)}))
    assert "short" not in caught.value.message


def test_only_listed_origins_are_answered() -> None:
    cors = CorsPolicy(frozenset({"https://app.example"}))
    asks = {"access-control-request-method": "POST"}
    assert cors.is_preflight("OPTIONS", {**asks, "origin": "https://app.example"})
    for origin in ("https://app.example.evil", "http://app.example", "null", ""):
        assert not cors.is_preflight("OPTIONS", {**asks, "origin": origin})
        assert cors.response_headers([(b"origin", origin.encode())]) == [(b"vary", b"Origin")]
    allowed = dict(cors.response_headers([(b"origin", b"https://app.example")]))
    assert allowed[b"access-control-allow-origin"] == b"https://app.example"
    assert b"access-control-allow-credentials" not in allowed
    assert CorsPolicy().response_headers([(b"origin", b"https://app.example")]) == []


def test_a_proxy_gets_the_path_of_a_file(tmp_path: Path) -> None:
    job = scenes.record("a", JobState.COMPLETED)
    name = f"{job.project_id}/a/frames/%C3%A4.webp"
    accel = sendfile_header("x-accel-redirect:/files/", tmp_path, job, "frames/ä.webp")
    assert accel == {"X-Accel-Redirect": f"/files/{name}"}
    plain = sendfile_header("x-sendfile", tmp_path, job, "poster.webp")
    assert plain == {"X-Sendfile": f"{tmp_path}/previews/{job.project_id}/a/poster.webp"}
    assert sendfile_header(None, tmp_path, job, "poster.webp") is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PREVIEW_LINK_KEY", "short"),
        ("PREVIEW_LINK_KEY", ",".join([KEY] * 3)),
        ("PREVIEW_API_ORIGINS", "*"),
        ("PREVIEW_API_ORIGINS", "https://app.example/path"),
        ("PREVIEW_API_ORIGINS", "null"),
        ("PREVIEW_API_URL", "https://app.example/?x"),
        ("PREVIEW_API_URL", "javascript:alert(1)"),
        ("PREVIEW_API_SENDFILE", "x-accel-redirect:http://evil"),
    ],
)
def test_invalid_settings(variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=variable) as caught:
        Settings.from_env({variable: value})
    assert KEY not in caught.value.message
