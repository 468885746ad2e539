"""Logging: set-up of structlog, and redaction of what may not appear in a log line."""
