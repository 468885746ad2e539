"""The typefaces that the renderer draws with, as package data: see README.md beside this file."""
