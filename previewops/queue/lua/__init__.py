"""The Lua scripts, as package data. One state transition each; ``previewops.queue.scripts`` loads them."""
