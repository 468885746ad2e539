"""Render results kept for reuse: keys, store, lookup, eviction."""
