"""The supervisor: one a host, it starts, watches, drains, replaces and scales the workers of one queue.

Policies are pure (``demand``, ``restarts``, ``recycling``, ``hang``); ``loop`` owns the processes by way of a
back end (``process``, ``transient``); ``orders`` is how a person reaches every host through Redis.
"""
