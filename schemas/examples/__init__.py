"""Example payloads, valid and invalid, as package data.

Beside each ``invalid/NN-name.json`` is ``NN-name.errors.json`` with all its violations in order, where
``/srv/previews/assets`` is the only asset root.
"""
