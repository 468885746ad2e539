"""One job whole."""
