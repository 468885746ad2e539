"""View models of the event screen. Pure."""
