"""The REST door: the queue over HTTP, for producers, operators and monitoring.

``previewops.api.app`` has the routes, ``previewops.api.server`` runs them. Whatever they do goes by way of the same
queue, contract, dead letters and health as the command line.
"""
