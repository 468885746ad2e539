"""Example payloads, valid and invalid, as package data."""
