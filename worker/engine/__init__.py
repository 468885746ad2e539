"""The arq worker: claims, heartbeats, running jobs and recording their outcome."""
