"""Background preview rendering on arq and Redis that loses no job."""

__version__ = "0.1.0"
