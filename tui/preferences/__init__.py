"""What operators set for themselves: the settings file of the screen, and the filters that they save."""
