"""Supervisor of one host: starts, watches, drains, replaces and scales the workers of one queue.

The policies are pure: ``autoscaling``, ``restart_policy``, ``recycle_policy``, ``hang_policy``. ``loop`` owns the
processes through a backend (``process_backend``, ``systemd_backend``). ``commands`` sends commands to the supervisors
of all hosts through Redis.
"""
