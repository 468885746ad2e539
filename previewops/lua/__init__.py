"""The Lua scripts, as package data. One state transition each; ``previewops.scripts`` loads them."""
