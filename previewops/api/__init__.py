"""REST API: the queue over HTTP, for producers, operators and monitoring.

``previewops.api.app`` has the routes, ``previewops.api.server`` runs them. They use the same queue, contract, dead
letters and health checks as the command line.
"""
