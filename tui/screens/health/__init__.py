"""Whether the queue is well, check by check, and what to do about it."""
