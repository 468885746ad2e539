"""View models of the dead-letter screen. Pure."""
