"""State of the screen: the queue as last read, and whether the display is live, frozen or replayed."""
