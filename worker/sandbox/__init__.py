"""The render sandbox: the only code that starts render processes or exchanges messages with them."""
