"""Layout: where titles, pictures and captions go on frames, title cards and contact sheets."""
