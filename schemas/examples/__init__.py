"""Example payloads, valid and invalid, as package data.

Beside each ``invalid/NN-name.json`` is ``NN-name.errors.json``: the violations it must give, all and in order,
when ``/srv/previews/assets`` is the one folder that assets may come from.
"""
