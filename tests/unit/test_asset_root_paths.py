"""Which paths are below an asset root or private in DATA_DIR, by their texts as by their parts."""

from __future__ import annotations

from itertools import product
from pathlib import PurePath

import pytest

from previewops.asset_roots import ASSETS_FOLDER, is_below, is_private

_PATHS = (
    "/",
    "/a",
    "/ab",
    "/a/b",
    "/a/b/c",
    "/a/assets",
    "/a/assets/x",
    "/a/assetsx",
    "/assets",
    "/assets/q",
)


@pytest.mark.parametrize(("path", "folder"), product(_PATHS, _PATHS))
def test_texts_are_compared_as_paths_are(path: str, folder: str) -> None:
    pure = PurePath(path)
    assert is_below(path, folder) == pure.is_relative_to(folder)
    in_assets = pure.is_relative_to(PurePath(folder) / ASSETS_FOLDER)
    assert is_private(path, folder) == (pure.is_relative_to(folder) and not in_assets)
