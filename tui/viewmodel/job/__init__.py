"""View models of the job screen. Pure."""
