"""One flag per field of a settings class."""

import pytest
import typer
from typer.testing import CliRunner

from edgeseg.cli.flags import takes
from edgeseg.recipes import TrainConfig


@pytest.fixture
def run():
    """Return a command that hands back the configuration it was given."""
    app = typer.Typer()
    seen = []

    @app.command()
    @takes(TrainConfig)
    def command(name: str, config: TrainConfig) -> None:
        seen.append((name, config))

    def call(*arguments):
        result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return seen.pop() if seen else result

    return call


def test_without_flags_the_defaults_hold(run):
    assert run("bottle") == ("bottle", TrainConfig())


def test_flags_override_the_file_and_the_file_the_defaults(run, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('batch = 8\nfocal_gamma = 2\nrotation = "full"\n')
    _, config = run("bottle", "--config", str(file), "--batch", "4", "--texture-color", "gray")
    assert (config.batch, config.focal_gamma, config.rotation) == (4, 2.0, "full")
    assert config.texture_color == "gray"


def test_an_invalid_choice_is_a_usage_error(run):
    result = run("bottle", "--rotation", "upside-down")
    assert result.exit_code == 2
    assert "slight" in result.output
