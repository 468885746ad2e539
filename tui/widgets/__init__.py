"""The parts that screens are made of. They draw what the view-model says, and know nothing of the queue."""
