"""Publication: from a staging folder to the published bundle."""
