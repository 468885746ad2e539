"""Encodes the JSON files of a bundle. Does not import Pillow: the worker uses it, too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def encode_json(content: Mapping[str, Any]) -> bytes:
    """Encodes ``content`` as indented JSON in UTF-8 with a final newline."""
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")
