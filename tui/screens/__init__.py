"""The seven screens and the dialogs. They draw pictures and post intents; Redis is below their horizon."""
