"""Sends messages about the end of jobs, as Standard Webhooks."""
