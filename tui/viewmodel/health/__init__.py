"""View models of the health screen. Pure."""
