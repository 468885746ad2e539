"""Reads untrusted picture files as browsers do: containers, colours, transparency, animations."""
