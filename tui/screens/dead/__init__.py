"""The dead-letter screen: groups and jobs, and commands on them."""
