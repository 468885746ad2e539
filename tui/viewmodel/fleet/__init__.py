"""View models of the worker screen. Pure."""
