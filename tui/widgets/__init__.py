"""The widgets of the screens. They draw view models and do not depend on the queue."""
