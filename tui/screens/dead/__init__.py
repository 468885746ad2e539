"""Dead letters: why jobs failed for good, and what is to become of them."""
