"""The job list."""
