"""The seven screens and the dialogs. They draw the queue view and start commands, without access to Redis."""
