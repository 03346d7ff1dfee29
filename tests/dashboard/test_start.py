"""How the dashboard is started, and what starting it makes importable."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import dashboard
from probe.cli import dashboard as starting
from probe.cli.main import cli
from probe.errors import ProbeError

FOLDER = Path(dashboard.__file__).resolve().parent
CHECK = """
import importlib.util, pathlib, runpy, sys
folder = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(folder))  # as Streamlit does
runpy.run_path(str(folder / "app.py"), run_name="app")
names = [p.stem for p in folder.iterdir() if p.suffix == ".py" or p.is_dir()]
specs = [importlib.util.find_spec(name) for name in names if name not in ("__init__", "__pycache__")]
theirs = [spec.name for spec in specs if spec and str(folder) in str(spec.origin)]
assert not theirs, theirs
ours = [m for n, m in sys.modules.items() if n.split(".")[0] == "dashboard"]
assert ours and all(pathlib.Path(m.__file__).resolve().is_relative_to(folder.resolve()) for m in ours)
assert "torch" not in sys.modules
"""


def test_importing_the_app_makes_nothing_importable_by_accident(tmp_path):
    done = subprocess.run([sys.executable, "-P", "-c", CHECK, str(FOLDER)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_folder_is_called_pages():
    # Streamlit would run a file of such a folder alone, without app.py, when a link to it is the first request.
    assert not (FOLDER / "pages").exists()


def test_the_command_finds_the_app_without_importing_it():
    code = "import sys; from probe.cli.dashboard import app_file; print(app_file()); assert 'dashboard' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == FOLDER / "app.py"


def test_the_server_listens_here_alone_and_tells_nobody():
    words = starting.start_command(FOLDER / "app.py", 8600)
    for option in ("server.address=localhost", "browser.gatherUsageStats=false", "server.fileWatcherType=none", "server.port=8600"):
        assert f"--{option}" in words
    assert "--server.enableXsrfProtection=true" in words
    assert words[1] == "-P"


def test_a_missing_workspace_is_a_sentence(tmp_path):
    result = CliRunner().invoke(cli, ["--workspace", str(tmp_path / "none"), "dashboard"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "demo" in result.output
    assert " run --source" in result.output


def test_a_taken_port_is_a_sentence():
    import socket

    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        listener.listen()
        with pytest.raises(ProbeError, match="--port"):
            starting._free_port(listener.getsockname()[1])


def test_a_password_in_the_database_url_is_not_on_the_command_line(tmp_path):
    from probe.workspace import Workspace

    place = Workspace(tmp_path, "postgresql+psycopg://me:secret@host/db")
    assert "secret" not in " ".join(starting.start_command(FOLDER / "app.py", 8600))
    assert starting.environment(place)["PROBE_DB_URL"] == place.db_url


def test_every_module_of_the_dashboard_is_ours():
    found = importlib.util.find_spec("dashboard")
    assert Path(found.origin).resolve().parent == FOLDER
