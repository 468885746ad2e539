"""The first screen: how the queue is, at a glance and over time."""
