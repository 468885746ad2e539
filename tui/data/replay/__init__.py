"""The screen over a recording: the same pictures, any moment of them, and nothing that could be changed."""
