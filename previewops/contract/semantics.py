"""Checks that a JSON Schema cannot express: references, uniqueness, sums, geometry, uris.

Each function skips members of the wrong type: the schema reports those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from previewops.contract.limits import (
    DEFAULT_STEP_MS,
    EVEN_SIDED_FORMATS,
    MAX_FRAME_PX,
    MAX_SIDE_PX,
    MAX_TOTAL_MS,
    MIN_SIDE_PX,
    MIN_STEP_MS,
    TITLE_CARD_MS,
)
from previewops.contract.output_rules import asked_formats, output_violations, parse_resolution
from previewops.contract.uris import AssetPolicy, DataUri, UriNotAllowed, format_roots, parse_uri
from previewops.contract.url import InvalidUrl, parse_url
from previewops.contract_maxima import MAX_ASSETS, MAX_STEPS
from previewops.errors import Violation
from previewops.host_patterns import format_hosts
from previewops.message_formatting import join_names, json_pointer, quote
from previewops.theme_names import BUILT_IN_THEMES, is_theme_name

_REQUEST = "previewRequest"

Object = dict[str, Any]
Path = tuple[str | int, ...]


def semantic_violations(payload: object, policy: AssetPolicy | None) -> Iterator[Violation]:
    """Yields the violations of ``payload``, a value in plain JSON types, that the schema does not detect."""
    request = payload.get(_REQUEST) if isinstance(payload, dict) else None
    if not isinstance(request, dict):
        return
    steps = _objects(request.get("steps"), MAX_STEPS)
    assets = _objects(request.get("assets"), MAX_ASSETS)
    audio = request.get("audio")
    types = _AssetTypes(
        {asset["id"]: _type_of(asset) for _, asset in assets if isinstance(asset.get("id"), str)}
    )
    yield from _repeated_ids("steps", "step", steps)
    yield from _repeated_ids("assets", "asset", assets)
    yield from _step_references(steps, types)
    yield from _total_length(steps, _playing(assets))
    for index, asset in assets:
        yield from _address(asset.get("uri"), _type_of(asset), (_REQUEST, "assets", index, "uri"), policy)
        yield from _trim(asset.get("trim"), (_REQUEST, "assets", index, "trim"))
    if isinstance(audio, dict):
        yield from _audio(audio, types, policy)
    yield from _options(request.get("options"))
    yield from output_violations(request.get("options"), request.get("steps"))
    yield from _logo(request.get("options"), policy)
    yield from _theme(request.get("options"), policy)
    yield from _webhook(request.get("options"), policy)


def _objects(value: object, most: int) -> list[tuple[int, Object]]:
    if not isinstance(value, list):
        return []
    return [(index, item) for index, item in enumerate(islice(value, most)) if isinstance(item, dict)]


def _type_of(asset: Object) -> object:
    return asset.get("type", "image")


class _AssetTypes:
    """Types of the assets by id. Lists the ids of a type once, however many references are wrong."""

    def __init__(self, types: Mapping[str, object]) -> None:
        self.types = types
        self._listed: dict[str, str] = {}

    def list_ids(self, type_: str) -> str:
        """Lists the first ids of a type, with the number of the others."""
        if type_ not in self._listed:
            self._listed[type_] = join_names(id_ for id_, own in self.types.items() if own == type_)
        return self._listed[type_]


def _repeated_ids(listed: str, noun: str, items: list[tuple[int, Object]]) -> Iterator[Violation]:
    first: dict[str, int] = {}
    for index, item in items:
        id_ = item.get("id")
        if not isinstance(id_, str):
            continue
        if id_ in first:
            path, taken = (json_pointer((_REQUEST, listed, i, "id")) for i in (index, first[id_]))
            allowed = f"an id that no other {noun} has ({taken} has this one)"
            yield Violation(path, "repeated-id", f"is the id of another {noun}", quote(id_), allowed)
        first.setdefault(id_, index)


def _step_references(steps: list[tuple[int, Object]], types: _AssetTypes) -> Iterator[Violation]:
    for index, step in steps:
        asset_ids = step.get("assetIds")
        if isinstance(asset_ids, list):
            for position, asset_id in enumerate(islice(asset_ids, MAX_ASSETS)):
                path = (_REQUEST, "steps", index, "assetIds", position)
                yield from _reference(asset_id, "image", types, path)


def _reference(asset_id: object, wanted: str, assets: _AssetTypes, path: Path) -> Iterator[Violation]:
    types = assets.types
    if not isinstance(asset_id, str) or types.get(asset_id) == wanted:
        return
    allowed = f"ids of assets of type {wanted}: {assets.list_ids(wanted)}"
    where, found = json_pointer(path), quote(asset_id)
    if asset_id not in types:
        yield Violation(where, "unknown-asset", "refers to an unknown asset", found, allowed)
    elif isinstance(type_ := types[asset_id], str):
        message = f"refers to an asset that is not of type {wanted}"
        yield Violation(where, "asset-type", message, f"{found}, of type {quote(type_)}", allowed)


def _playing(assets: list[tuple[int, Object]]) -> set[str]:
    """Ids of the assets that play."""
    return {
        id_ for _, asset in assets if asset.get("play") is True and isinstance(id_ := asset.get("id"), str)
    }


def _least_duration(step: Object, playing: set[str]) -> object:
    """The duration of a step; how long one lasts that plays is known only when its assets are read."""
    ids = step.get("assetIds")
    plays = isinstance(ids, list) and any(
        isinstance(id_, str) and id_ in playing for id_ in islice(ids, MAX_ASSETS)
    )
    return step.get("durationMs", MIN_STEP_MS if plays else DEFAULT_STEP_MS)


def _trim(trim: object, path: Path) -> Iterator[Violation]:
    if not isinstance(trim, dict):
        return
    start, end = trim.get("startMs", 0), trim.get("endMs")
    if isinstance(start, int) and isinstance(end, int) and start >= end:
        found, allowed = f"startMs {start}, endMs {end}", "endMs after startMs"
        yield Violation(json_pointer(path), "trim-order", "ends before it starts", found, allowed)


def _total_length(steps: list[tuple[int, Object]], playing: set[str]) -> Iterator[Violation]:
    durations = (_least_duration(step, playing) for _, step in steps)
    total = TITLE_CARD_MS + sum(ms for ms in durations if isinstance(ms, int) and ms > 0)
    if total > MAX_TOTAL_MS:
        message = "take too long together with the title card"
        allowed = (
            f"at most {MAX_TOTAL_MS} ms, of which the title card takes {TITLE_CARD_MS} ms"
            f" and a step without durationMs {DEFAULT_STEP_MS} ms"
        )
        yield Violation(json_pointer((_REQUEST, "steps")), "total-length", message, f"{total} ms", allowed)


def _audio(audio: Object, types: _AssetTypes, policy: AssetPolicy | None) -> Iterator[Violation]:
    path = (_REQUEST, "audio")
    named = [name for name in ("assetId", "uri") if name in audio]
    settings = [name for name in ("offsetMs", "gainDb") if name in audio]
    where, found = json_pointer(path), " and ".join(named or settings)
    if len(named) > 1:
        yield Violation(where, "audio-source", "names two sounds", found, "assetId or uri, not both")
    if settings and not named:
        allowed = "assetId or uri beside them, or an empty object for no sound"
        yield Violation(where, "audio-source", "has sound options without a sound", found, allowed)
    yield from _reference(audio.get("assetId"), "audio", types, (*path, "assetId"))
    yield from _address(audio.get("uri"), "audio", (*path, "uri"), policy)


def _address(uri: object, type_: object, path: Path, policy: AssetPolicy | None) -> Iterator[Violation]:
    if not isinstance(uri, str) or not uri:
        return
    try:
        parsed = parse_uri(uri)
        if isinstance(parsed, DataUri):
            yield from _media_type(parsed, type_, path)
        elif policy is not None:
            policy.check(parsed)
    except UriNotAllowed as error:
        allowed = error.allowed
        if error.code == "uri-traversal" and policy is not None and policy.roots:
            allowed = f"{allowed}; {format_roots(policy.roots)}"
        yield Violation(json_pointer(path), error.code, error.message, error.found, allowed)


_DATA_TYPES = {"image": ("image/", "video/", "application/pdf"), "audio": ("audio/", "video/")}
"""Media types of data: uris, by an asset's type. A video is shown, or heard."""


def _media_type(uri: DataUri, type_: object, path: Path) -> Iterator[Violation]:
    prefixes = _DATA_TYPES.get(type_) if isinstance(type_, str) else None
    if prefixes is not None and not uri.media_type.startswith(prefixes):
        message = f"has a media type other than {type_}"
        allowed = " or ".join(f"data:{prefix}{'…' if prefix.endswith('/') else ''}" for prefix in prefixes)
        yield Violation(json_pointer(path), "uri-media-type", message, quote(uri.media_type), allowed)


def _logo(options: object, policy: AssetPolicy | None) -> Iterator[Violation]:
    brand = options.get("brand") if isinstance(options, dict) else None
    logo = brand.get("logo") if isinstance(brand, dict) else None
    if isinstance(logo, dict):
        yield from _address(logo.get("uri"), "image", (_REQUEST, "options", "brand", "logo", "uri"), policy)


def _theme(options: object, policy: AssetPolicy | None) -> Iterator[Violation]:
    name = options.get("theme") if isinstance(options, dict) else None
    if not isinstance(name, str) or not is_theme_name(name) or name in BUILT_IN_THEMES:
        return  # the schema reports another value
    names = policy.themes() if policy is not None and policy.themes is not None else None
    if names is not None and name not in names:
        allowed = f"{join_names((*BUILT_IN_THEMES, *names))} (PREVIEW_THEMES)"
        pointer = json_pointer((_REQUEST, "options", "theme"))
        yield Violation(pointer, "theme-unknown", "is not a theme", quote(name), allowed)


def _webhook(options: object, policy: AssetPolicy | None) -> Iterator[Violation]:
    url = options.get("webhook") if isinstance(options, dict) else None
    if not isinstance(url, str) or policy is None or policy.webhook_hosts is None:
        return
    if not url.startswith(("https://", "http://")):
        return  # the schema reports it
    try:
        address = parse_url(url)
        found = f"{address.host}:{address.port}"
        if any(host.allows(address.scheme, address.host, address.port) for host in policy.webhook_hosts):
            return
    except InvalidUrl as error:
        found = error.found
    yield Violation(
        json_pointer((_REQUEST, "options", "webhook")),
        "webhook-host",
        "is not an address at an allowed host",
        found,
        format_hosts(policy.webhook_hosts, "PREVIEW_WEBHOOK_HOSTS"),
    )


def _options(options: object) -> Iterator[Violation]:
    if not isinstance(options, dict):
        return
    formats, resolution = asked_formats(options), options.get("resolution")
    if not isinstance(resolution, str) or (size := parse_resolution(resolution)) is None:
        return
    path = json_pointer((_REQUEST, "options", "resolution"))
    width, height = size
    if min(size) < MIN_SIDE_PX or max(size) > MAX_SIDE_PX or width * height > MAX_FRAME_PX:
        found = f"{width}x{height} ({width * height} pixels)"
        allowed = f"sides from {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, at most {MAX_FRAME_PX} pixels in all"
        yield Violation(path, "resolution-bounds", "is out of range", found, allowed)
    if EVEN_SIDED_FORMATS & set(formats) and (width % 2 or height % 2):
        message = "has an odd side, which the format does not support"
        yield Violation(path, "resolution-odd", message, quote(resolution), "even sides")
