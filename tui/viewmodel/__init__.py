"""View models: pure functions from plain values to lines of text. No Textual, Redis or clock."""
