"""What happens in the queue, and who has done what."""
