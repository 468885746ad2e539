"""Bundles in a folder of DATA_DIR: on this machine, or on a mount that all hosts share."""
