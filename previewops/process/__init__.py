"""Process primitives: parent-death signal and the sd_notify protocol."""
