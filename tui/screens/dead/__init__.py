"""The dead-letter screen: causes and jobs, and commands on them."""
