"""Layout of frames, title cards and contact sheets."""
