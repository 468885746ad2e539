"""The event screen: what happens in the queue, and operator actions."""
