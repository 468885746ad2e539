"""Named tokens: the lines of their file, the file that changes, and what their callers may do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog

from previewops.api.auth import AccessPolicy
from previewops.api.caller import Caller, Permission
from previewops.api.errors import Unauthorized
from previewops.api.named_tokens import TokensInvalid, create_token, format_entry, parse_tokens
from previewops.api.token_files import CHECK_INTERVAL_S, TokensFile
from previewops.errors import UsageError
from previewops.settings import Settings

DIGEST = "0" * 64


def entry(token: str, name: str = "app", *, projects: tuple[str, ...] = ("a",), queue: int = 0) -> str:
    return format_entry(token, name, scopes=("read",), projects=projects, rate=0, queue=queue)


def write(path: Path, *lines: str) -> None:
    """Replaces the file, as an editor does, so that its inode differs."""
    new = path.with_suffix(".new")
    new.write_text("\n".join(lines))
    new.chmod(0o600)
    new.replace(path)


class Ticks:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_gives_the_caller_that_it_describes() -> None:
    token = create_token()
    line = format_entry(token, "shop-1", scopes=("submit", "read"), projects=("b", "a"), rate=20, queue=500)
    assert token not in line
    caller = parse_tokens(line).find(token)
    assert caller is not None
    assert caller.permissions == {Permission.SUBMIT, Permission.READ}
    assert caller.as_json() == {
        "name": "shop-1", "scopes": ["submit", "read"], "projects": ["a", "b"], "rate": 20, "queue": 500
    }  # fmt: skip
    for other in ("", token[:-1], token + "x", "ü", DIGEST):
        assert parse_tokens(line).find(other) is None


def test_tokens_are_random_and_recognizable() -> None:
    tokens = {create_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("pvo_") and len(token) == 47 for token in tokens)


@pytest.mark.parametrize(
    ("projects", "permissions"),
    [(("a",), {"operate"}), (("*",), {"operate", "monitor", "control"})],
)
def test_the_whole_queue_needs_operate_for_all_projects(
    projects: tuple[str, ...], permissions: set[str]
) -> None:
    line = format_entry("t", "app", scopes=("operate",), projects=projects, rate=0, queue=0)
    caller = parse_tokens(line).find("t")
    assert caller is not None
    assert caller.permissions == permissions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("app = {", "not TOML"),
        ("app = " + "[" * 9_999, "nested too deeply"),
        ("app = 1", "app: found another value"),
        (f'"a b" = {{ sha256 = "{DIGEST}" }}', "name of a token"),
        ("app = { token = 'secret-in-clear' }", "app: found 1 unknown fields"),
        ("app = { sha256 = 'secret-in-clear' }", "app.sha256"),
        (f"app = {{ sha256 = '{DIGEST.replace('0', 'A')}' }}", "app.sha256"),
        (f"app = {{ sha256 = '{DIGEST}', projects = ['a'] }}", "app.scopes"),
        (f"app = {{ sha256 = '{DIGEST}', scopes = [], projects = ['a'] }}", "app.scopes"),
        (f"app = {{ sha256 = '{DIGEST}', scopes = ['control'], projects = ['a'] }}", "app.scopes"),
        (f"app = {{ sha256 = '{DIGEST}', scopes = ['read'] }}", "app.projects"),
        (f"app = {{ sha256 = '{DIGEST}', scopes = ['read'], projects = [] }}", "app.projects"),
        (f"app = {{ sha256 = '{DIGEST}', scopes = ['read'], projects = ['*', 'a'] }}", "app.projects"),
        (f"app = {{ sha256 = '{DIGEST}', scopes = ['read'], projects = '*' }}", "app.projects"),
        (f"app = {{ sha256 = '{DIGEST}', scopes = ['read'], projects = ['a'], rate = -1 }}", "app.rate"),
        (f"app = {{ sha256 = '{DIGEST}', scopes = ['read'], projects = ['a'], queue = true }}", "app.queue"),
    ],
)
def test_invalid_entries_are_rejected_without_showing_values(text: str, message: str) -> None:
    with pytest.raises(TokensInvalid) as caught:
        parse_tokens(text)
    assert message in str(caught.value)
    assert "secret-in-clear" not in str(caught.value)


def test_two_names_for_one_token_are_rejected() -> None:
    with pytest.raises(TokensInvalid, match=r"second\.sha256: found that of first"):
        parse_tokens(f"{entry('t', 'first')}\n{entry('t', 'second')}")


def test_a_changed_file_is_read_again_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path, ticks = tmp_path / "tokens.toml", Ticks()
    write(path, entry("old-token"))
    tokens = TokensFile(path, monotonic=ticks)
    write(path, entry("new-token"))
    assert tokens.find("new-token") is None  # not looked at yet
    for text, event in (
        (None, "api.tokens-loaded"),
        ("app = { sha256 = 'secret-in-clear' }", "api.tokens-rejected"),
        ("", "api.tokens-loaded"),
    ):
        if text is not None:
            write(path, text)
        ticks.now += CHECK_INTERVAL_S
        with structlog.testing.capture_logs() as log:
            found = tokens.find("new-token")
            tokens.find("new-token")
        assert [line["event"] for line in log] == [event]
        assert "secret-in-clear" not in str(log)
        assert (found is None) == (text == "")  # an empty file removes all tokens
        assert tokens.find("old-token") is None


def test_a_file_that_is_gone_or_open_to_others_keeps_the_tokens(tmp_path: Path) -> None:
    path, ticks = tmp_path / "tokens.toml", Ticks()
    write(path, entry("token"))
    tokens = TokensFile(path, monotonic=ticks)
    for change, reason in ((lambda: path.chmod(0o620), "mode: found 0620"), (path.unlink, "No such file")):
        change()
        ticks.now += CHECK_INTERVAL_S
        with structlog.testing.capture_logs() as log:
            assert tokens.find("token") is not None
        assert [(line["event"], line["log_level"]) for line in log] == [("api.tokens-rejected", "error")]
        assert reason in log[0]["error"]


def test_a_file_that_cannot_be_used_prevents_the_start(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    for make in (lambda: None, lambda: os.mkfifo(path), lambda: (path.unlink(), write(path, "x"))):
        make()
        with pytest.raises(UsageError, match=r"PREVIEW_API_TOKENS_FILE: the file .* cannot be used"):
            TokensFile(path)


def test_named_tokens_are_required_without_other_tokens_and_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    write(path, entry("named-token"))
    headers = {"host": "localhost"}
    for settings in (Settings(), Settings(api_token="acting-token-0123456789")):
        access = AccessPolicy.from_settings(settings, loopback=True, named=TokensFile(path))
        for wrong in ({}, {"authorization": "Bearer other"}):
            with pytest.raises(Unauthorized):
                access.check("GET", "/x", {**headers, **wrong})
        caller = access.check("POST", "/x", {**headers, "authorization": "Bearer named-token"})
        assert (caller.name, caller.projects) == ("app", {"a"})
        assert access.check("GET", "/livez", headers).name is None
    every = access.check("GET", "/x", {**headers, "authorization": "Bearer acting-token-0123456789"})
    assert every == Caller()
    assert "named-token" not in repr(access)


def test_nobody_can_claim_to_be_another_token() -> None:
    assert Caller().record_name("ann") == "ann"
    assert Caller(name="shop").record_name("") == "shop"
    assert Caller(name="shop").record_name("other/ann") == "shop/other/ann"
