"""The JSON Schemas and the example payloads, as package data. Import name: ``previewops.schemas``."""
