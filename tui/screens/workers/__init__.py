"""Hosts, their supervisors, the workers under them, and the orders that one can give them."""
