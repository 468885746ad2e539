"""View models of the overview. Pure."""
