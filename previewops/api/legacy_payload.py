"""Payloads of the predecessor as payloads of the contract, where there is one that means the same. Pure.

What cannot be mapped stays as it is, so that the contract's validation rejects it in words. docs/migrate.md has the
rules, and a test for each.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from previewops.schemas import schema

Object = dict[str, Any]

_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_STEM = 80
_WITHOUT_ZONE = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,9})?)")
_MAX_EPOCH_MS = 253_402_300_799_000  # the year 9999

_ADDRESSES = ("url", "path", "src")
_QUALITIES = {"low": 60, "medium": 80, "high": 95}
_MIN_GAIN_DB, _MAX_GAIN_DB = -60.0, 20.0


def map_id(text: str) -> str:
    """Returns the id for any text: the text itself if it is one, else one that differs for different texts."""
    if _PLAIN_ID.fullmatch(text):
        return text
    stem = _OTHER_CHARACTERS.sub("-", text).strip("-._")[:_MAX_STEM]
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{stem}-{digest}" if stem else f"id-{digest}"


def map_payload(raw: Object) -> Object:
    """Returns a payload of the predecessor as one of the contract. Unknown fields are dropped or become x-."""
    payload = {name: raw[name] for name in schema()["properties"] if raw.get(name) is not None}
    for name in ("jobId", "projectId"):
        if isinstance(payload.get(name), str):
            payload[name] = map_id(payload[name])
    payload.setdefault("requestId", raw.get("jobId"))
    payload.setdefault("dryRun", False)
    for name in ("createdAt", "updatedAt"):
        if name in payload:
            payload[name] = _time(payload[name])
    attempts = payload.get("attempts")
    if isinstance(attempts, int) and attempts < 0:
        payload["attempts"] = 0
    if isinstance(payload.get("previewRequest"), dict):
        payload["previewRequest"] = _request(payload["previewRequest"])
    return payload


def _request(raw: Object) -> Object:
    request = _known(raw, "previewRequest")
    for name in ("steps", "assets"):
        items = request.setdefault(name, [])
        if isinstance(items, list):
            convert = _step if name == "steps" else _asset
            request[name] = [
                convert(item, number) if isinstance(item, dict) else item
                for number, item in enumerate(items, 1)
            ]
    request["audio"] = _audio(request.get("audio"))
    options = request.get("options", {})
    if isinstance(options, dict):
        request["options"] = _options(options)
    return request


def _step(raw: Object, _number: int) -> Object:
    step = dict(raw)
    _rename(step, "text", "body", "description")
    if "assetId" in step and "assetIds" not in step:
        step["assetIds"] = [step.pop("assetId")]
    _seconds_to_ms(step)
    return _known(step, "step")


def _asset(raw: Object, number: int) -> Object:
    asset = dict(raw)
    _rename(asset, "uri", *_ADDRESSES)
    asset.setdefault("id", f"asset-{number}")
    return _known(asset, "asset")


def _audio(raw: object) -> object:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        return raw
    audio = dict(raw)
    _rename(audio, "uri", "narration", *_ADDRESSES)
    volume = audio.pop("volume", None)
    if isinstance(volume, int | float) and not isinstance(volume, bool) and volume >= 0:
        gain = 20 * math.log10(volume) if volume else _MIN_GAIN_DB
        if "uri" in audio or "assetId" in audio:
            audio["gainDb"] = round(max(_MIN_GAIN_DB, min(_MAX_GAIN_DB, gain)), 2)
    return _known(audio, "audio")


def _options(raw: Object) -> Object:
    options = dict(raw)
    match options.get("resolution"):
        case {"width": int(width), "height": int(height)}:
            options["resolution"] = f"{width}x{height}"
    quality = options.get("quality")
    if isinstance(quality, str) and quality.lower() in _QUALITIES:
        options["quality"] = _QUALITIES[quality.lower()]
    _rename(options, "includeCaptions", "captions")
    if "outputs" not in options:
        options.setdefault("format", "mp4")
    return _known(options, "options")


def _known(raw: Mapping[str, Any], definition: str) -> Object:
    """Returns ``raw`` without nulls; a name that the definition of the schema does not have gets the prefix x-."""
    names = schema()["$defs"][definition]["properties"]
    return {
        name if name in names or name.startswith("x-") else f"x-{name}": value
        for name, value in raw.items()
        if value is not None
    }


def _rename(fields: Object, name: str, *others: str) -> None:
    for other in others:
        if name not in fields and other in fields:
            fields[name] = fields.pop(other)


def _seconds_to_ms(fields: Object) -> None:
    seconds = fields.get("durationSec")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and "durationMs" not in fields:
        fields["durationMs"] = round(seconds * 1000)
        del fields["durationSec"]


def _time(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MAX_EPOCH_MS:
        return (
            datetime.fromtimestamp(value / 1000, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
    if isinstance(value, str) and (match := _WITHOUT_ZONE.fullmatch(value)):
        return f"{match[1]}T{match[2]}Z"
    return value
