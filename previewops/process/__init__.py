"""Process primitives: parent-death signal, the sd_notify protocol, alive files."""
