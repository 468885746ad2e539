"""The health screen: checks and advice."""
