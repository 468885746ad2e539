"""Assets of a job: from a URI to an open, checked file."""
