"""Checks and repairs what is stored in Redis: pure diagnoses, and the examination that applies them."""
