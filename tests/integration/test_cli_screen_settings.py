"""``previewops tui --keys``: the keys with their ids, and what is wrong with the settings file."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli_program import Program


def test_keys_are_listed_with_ids_and_mistakes_of_the_settings_file(tmp_path: Path) -> None:
    folder = tmp_path / "previewops"
    folder.mkdir()
    (folder / "screen.toml").write_text(
        """
        colour = "red"
        [keys]
        app.help = "f1"
        dead.requeue = "x"
        """
    )
    listed = Program(tmp_path).run("tui", "--keys", XDG_CONFIG_HOME=str(tmp_path), COLUMNS="100")
    assert listed.code == 0
    lines = [line.split() for line in listed.out.splitlines()]
    assert ["ID", "KEYS", "(DEFAULT)", "ACTION"] in lines
    assert next(line for line in lines if line[0] == "app.help")[1:3] == ["f1", "(?)"]
    assert next(line for line in lines if line[0] == "dead.requeue")[1] == "r"
    assert "screen.toml: colour: unknown key" in listed.err
    assert "keys.dead.requeue: found 'x', which is the key of dead.discard" in listed.err
