"""Data and commands of a live queue."""
