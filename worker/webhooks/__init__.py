"""Sends messages about the end of jobs and batches, as Standard Webhooks."""
