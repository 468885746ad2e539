"""Prints the lowest allowed version of each dependency in pyproject.toml, as constraints for pip."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_FLOOR = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*>=(?P<version>[0-9][^,; ]*)")

if __name__ == "__main__":
    for requirement in tomllib.loads(PROJECT.read_text("utf-8"))["project"]["dependencies"]:
        floor = _FLOOR.match(requirement)
        if floor is None:
            raise SystemExit(f"{requirement}: found no floor, allowed NAME>=VERSION")
        sys.stdout.write(f"{floor['name']}=={floor['version']}\n")
