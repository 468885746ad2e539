"""The terminal: capabilities, graphics protocols, keys, hang-up."""
