"""View models of the job list. Pure."""
