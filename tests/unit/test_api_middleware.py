"""Access policy, rate limit and problems, as plain functions."""

from __future__ import annotations

import math
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from previewops import errors
from previewops.api.auth import PUBLIC_PATHS, AccessPolicy, host_name, is_loopback_host
from previewops.api.caller import Caller
from previewops.api.errors import (
    ApiError,
    Forbidden,
    HostNotAllowed,
    ListenError,
    TokenRequired,
    TooManyRequests,
    Unauthorized,
)
from previewops.api.problems import STATUS_BY_ERROR, build_problem
from previewops.api.rate_limit import MAX_DEBT_S, CallerRates, RateLimitMiddleware, TokenBuckets
from previewops.api.sockets import bind_sockets, is_loopback, resolve_addresses
from previewops.errors import PreviewopsError, UsageError
from previewops.settings import Settings

TOKEN, READ = "acting-token-0123456789", "looking-token-0123456789"
HOST = {"host": "localhost:8080"}


def bearer(token: str) -> dict[str, str]:
    return {**HOST, "authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "[::1]"]
)
def test_loopback_host_names_are_accepted(host: str) -> None:
    AccessPolicy.from_settings(Settings(), loopback=True).check("GET", "/", {"host": host})


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "[::2]", "::1"],
)
def test_rebound_host_name_is_rejected(host: str) -> None:
    with pytest.raises(HostNotAllowed):
        AccessPolicy.from_settings(Settings(), loopback=True).check("GET", "/x", {"host": host})


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("headers", [{"host": "10.1.2.3:8098"}, {"host": "kubernetes.example"}, {}])
def test_probes_need_neither_a_host_name_nor_a_token(path: str, headers: dict[str, str]) -> None:
    settings = Settings(api_hosts=("previews.example",), api_token=TOKEN)
    for loopback in (True, False):
        access = AccessPolicy.from_settings(settings, loopback=loopback)
        access.check("GET", path, headers)
        access.check("HEAD", path, headers)
        with pytest.raises(HostNotAllowed):
            access.check("GET", "/metrics", headers)


def test_configured_host_names_are_accepted() -> None:
    named = Settings(api_hosts=("previews.example",), api_token=TOKEN)
    for loopback in (True, False):
        AccessPolicy.from_settings(named, loopback=loopback).check(
            "GET", "/", {**bearer(TOKEN), "host": "previews.example"}
        )
        with pytest.raises(HostNotAllowed):
            AccessPolicy.from_settings(named, loopback=loopback).check(
                "GET", "/", {**bearer(TOKEN), "host": "other.example"}
            )
    AccessPolicy.from_settings(Settings(api_token=TOKEN), loopback=False).check(
        "GET", "/", {**bearer(TOKEN), "host": "any"}
    )


def test_cross_site_requests_are_rejected_except_navigation() -> None:
    access = AccessPolicy.from_settings(Settings(), loopback=True)
    access.check("GET", "/", {**HOST, "sec-fetch-site": "same-origin"})
    access.check("GET", "/", {**HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
    for method, mode in (("GET", "cors"), ("GET", "no-cors"), ("POST", "navigate"), ("POST", "cors")):
        with pytest.raises(Forbidden):
            access.check(method, "/", {**HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": mode})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8080", "localhost:8080"),
        ("HTTP://LocalHost:8080", "localhost:8080"),
        ("http://localhost", "localhost"),
        ("http://localhost", "localhost:80"),
        ("https://localhost", "localhost:443"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_same_origin_writes_without_fetch_metadata_are_accepted(origin: str, host: str) -> None:
    access = AccessPolicy.from_settings(Settings(), loopback=True)
    for method in ("POST", "DELETE"):
        access.check(method, "/", {"host": host, "origin": origin})


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost:8081", "http://localhost", "http://127.0.0.1:8080", "null", "",
     "localhost:8080", "http:localhost:8080", "http", "http://", "http://localhost:8080.evil.example", "chrome-extension://localhost:8080"],
)  # fmt: skip
def test_other_origin_writes_without_fetch_metadata_are_rejected(origin: str) -> None:
    access = AccessPolicy.from_settings(Settings(), loopback=True)
    for method in ("POST", "DELETE"):
        with pytest.raises(Forbidden, match="cross-site"):
            access.check(method, "/", {**HOST, "origin": origin})
        # Sec-Fetch-Site takes precedence over Origin.
        access.check(method, "/", {**HOST, "origin": origin, "sec-fetch-site": "same-origin"})
    # A cross-origin page cannot read the response of a read request, which changes nothing.
    access.check("GET", "/", {**HOST, "origin": origin})


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_configured_token_is_required_on_loopback(method: str) -> None:
    access = AccessPolicy.from_settings(Settings(api_token=TOKEN, api_read_token=READ), loopback=True)
    access.check(method, "/x", bearer(TOKEN))
    access.check(method, "/x", {**HOST, "authorization": f"bearer {TOKEN}"})
    for headers in (
        HOST,
        bearer(""),
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        bearer("ü"),
        {**HOST, "authorization": TOKEN},
        {**HOST, "authorization": f"Basic {TOKEN}"},
    ):
        with pytest.raises(Unauthorized) as caught:
            access.check(method, "/x", headers)
        assert ("WWW-Authenticate", 'Bearer realm="previewops"') in caught.value.headers
        assert TOKEN not in str(caught.value)
    for path in ("/livez", "/readyz"):
        access.check(method, path, HOST)


def test_read_token_is_read_only() -> None:
    access = AccessPolicy.from_settings(Settings(api_token=TOKEN, api_read_token=READ), loopback=True)
    access.check("GET", "/x", bearer(READ))
    access.check("HEAD", "/x", bearer(READ))
    for method in ("POST", "DELETE", "PUT"):
        with pytest.raises(Forbidden):
            access.check(method, "/x", bearer(READ))


def test_empty_token_is_rejected() -> None:
    with pytest.raises(Unauthorized):
        AccessPolicy.from_settings(Settings(api_token=TOKEN), loopback=True).check("GET", "/x", bearer(""))


def test_tokens_are_not_in_repr() -> None:
    settings = Settings(api_token=TOKEN, api_read_token=READ)
    shown = repr(settings) + repr(AccessPolicy.from_settings(settings, loopback=True))
    assert TOKEN not in shown
    assert READ not in shown
    for value in ("short", "with a space in the middle", "ümlaut-0123456789"):
        with pytest.raises(UsageError) as caught:
            Settings.from_env({"PREVIEW_API_TOKEN": value})
        assert value not in caught.value.message


def test_malformed_authorization_is_rejected() -> None:
    with pytest.raises(UsageError, match="only together with PREVIEW_API_TOKEN"):
        Settings.from_env({"PREVIEW_API_READ_TOKEN": READ})
    with pytest.raises(UsageError, match="another token"):
        Settings.from_env({"PREVIEW_API_READ_TOKEN": READ, "PREVIEW_API_TOKEN": READ})
    with pytest.raises(UsageError, match="PREVIEW_API_HOSTS"):
        Settings.from_env({"PREVIEW_API_HOSTS": "a.example:80"})


def test_host_name() -> None:
    assert [host_name(item) for item in ("a:1", "A", "[::1]:2", "", ":")] == ["a", "a", "[::1]", "", ""]
    assert is_loopback_host("127.0.0.1")
    assert not is_loopback_host("")


def test_bucket_allows_a_burst_then_the_rate() -> None:
    rates = TokenBuckets(10)
    assert [rates.take("a", 0.0) for _ in range(20)] == [0.0] * 20
    assert rates.take("a", 0.0) == pytest.approx(0.1)
    assert rates.take("b", 0.0) == 0.0
    assert rates.take("a", 0.1) == 0.0
    assert rates.take("a", 0.1) > 0
    assert [rates.take("a", 100.0) for _ in range(21)].count(0.0) == 20


def test_work_may_leave_a_bounded_debt() -> None:
    rates = TokenBuckets(10)
    assert rates.take("a", 0.0, cost=50, least=0.0) == 0.0
    assert rates.take("a", 0.0) == pytest.approx(3.1)
    assert rates.take("a", 0.0, cost=1, least=0.0) == pytest.approx(3.0)
    assert rates.take("a", 0.0, cost=1e9, least=-math.inf) == 0.0
    assert rates.take("a", 0.0) == pytest.approx(MAX_DEBT_S + 0.1)
    assert rates.take("a", MAX_DEBT_S + 0.1) == 0.0


class FixedClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.seconds


async def pass_the_limit(limit: RateLimitMiddleware, path: str, client: object = ("192.0.2.1", 1)) -> Scope:
    scope: Scope = {"type": "http", "path": path, "client": client}
    await limit(scope, None, None)  # type: ignore[arg-type]
    return scope


async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"


async def test_the_rate_counts_per_address_and_not_for_probes() -> None:
    limit = RateLimitMiddleware(no_app, 1, clock=FixedClock())
    for _ in range(2):  # a burst of two seconds
        await pass_the_limit(limit, "/api")
    with pytest.raises(TooManyRequests) as caught:
        await pass_the_limit(limit, "/api")
    assert caught.value.retry_after_s == 1
    for path in PUBLIC_PATHS:
        await pass_the_limit(limit, path)
    await pass_the_limit(limit, "/api", ("192.0.2.2", 1))
    await pass_the_limit(limit, "/api", None)  # a private socket has no address


async def test_without_a_rate_nothing_is_limited() -> None:
    limit = RateLimitMiddleware(no_app, 0, clock=FixedClock())
    for _ in range(100):
        await pass_the_limit(limit, "/api")


async def test_a_token_has_its_own_rate_which_may_change() -> None:
    scope = await pass_the_limit(RateLimitMiddleware(no_app, 0, clock=FixedClock()), "/api")
    rates = CallerRates()
    for caller in (Caller(), Caller(rate=1), Caller(name="free")):
        for _ in range(9):
            rates.charge(scope, caller)
    slow, other = Caller(name="slow", rate=1), Caller(name="other", rate=1)
    for _ in range(2):
        rates.charge(scope, slow)
    with pytest.raises(TooManyRequests):
        rates.charge(scope, slow)
    rates.charge(scope, other)
    for _ in range(4):
        rates.charge(scope, Caller(name="slow", rate=2))
    with pytest.raises(TooManyRequests):
        rates.charge(scope, Caller(name="slow", rate=2))


def test_client_table_is_bounded() -> None:
    rates = TokenBuckets(1, max_clients=3)
    for _ in range(2):
        rates.take("busy", 0.0)
    for number in range(10):
        rates.take(f"client-{number}", 0.0)
        assert rates.take("busy", 0.0) > 0
    assert len(rates) == 3


def made(kind: type[PreviewopsError]) -> PreviewopsError:
    """An error of a class, without its own arguments."""
    error = kind.__new__(kind)
    PreviewopsError.__init__(error, "what was found", hint="what to do")
    data: dict[str, Any] = {"violations": (), "retry_after_s": None, "headers": ()}
    for name, value in data.items():
        setattr(error, name, value)
    return error


KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PreviewopsError)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_package_error_has_a_status(kind: type[PreviewopsError]) -> None:
    assert kind in STATUS_BY_ERROR
    problem = build_problem(made(kind))
    assert problem.status == STATUS_BY_ERROR[kind]
    assert problem.as_json()["type"] == f"urn:previewops:problem:{kind.code}"


def test_unexpected_error_has_no_details() -> None:
    problem = build_problem(RuntimeError("secret"))
    assert problem.status == 500
    assert "secret" not in str(problem.as_json())


def test_redis_address_is_not_disclosed() -> None:
    problem = build_problem(errors.RedisUnavailable("redis://inner:6379", "it is gone"))
    assert "inner" not in str(problem.as_json())
    assert problem.headers == (("Retry-After", "2"),)


def test_api_errors_have_distinct_codes() -> None:
    kinds = ApiError.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_is_loopback() -> None:
    assert is_loopback(resolve_addresses("127.0.0.1", 0))
    assert is_loopback(resolve_addresses("localhost", 0))
    assert not is_loopback(resolve_addresses("0.0.0.0", 0))
    assert "PREVIEW_API_TOKEN" in TokenRequired("0.0.0.0").message


def test_unavailable_address_is_a_listen_error() -> None:
    result = resolve_addresses("127.0.0.1", 0)
    (first,) = bind_sockets("127.0.0.1", 0, result)
    with first:
        port = first.getsockname()[1]
        with pytest.raises(ListenError, match=f"port {port}: another process is listening there"):
            bind_sockets("127.0.0.1", port, result)
    with pytest.raises(ListenError, match="the name cannot be resolved"):
        resolve_addresses("no.such.host.invalid", 80)
    with pytest.raises(ListenError, match="does not have the address"):
        bind_sockets("192.0.2.1", 0, resolve_addresses("192.0.2.1", 0))
