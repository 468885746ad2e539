"""Operator commands, their guards, and the runner that executes them in the background."""
