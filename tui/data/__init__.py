"""Data sources of the screen: a live queue or a recording, and the pollers that read them."""
