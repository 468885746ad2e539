"""The worker screen: hosts, supervisors and workers, and commands to them."""
