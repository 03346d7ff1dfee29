"""How the command line starts: fast, without torch, with help and environment twins everywhere."""

import os
import resource
import subprocess
import sys
from types import SimpleNamespace

import click
import pytest

from probe.cli.main import COMMANDS, cli

MINE = ("sources", "benchmarks", "proxies", "doctor", "clean", "studies", "status", "manifest", "export", "eval")


def _cpu_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_is_fast():
    command = [sys.executable, "-c", "import sys; sys.argv = ['probe', '--help']; from probe.cli.main import main; main()"]
    assert min(_cpu_seconds(command) for _ in range(3)) < 0.35


@pytest.mark.parametrize("words", ["--help", "sources list", "status", "studies list", "manifest list", "proxies list", "clean"])
def test_listings_import_no_torch(words, tmp_path):
    code = (
        f"import sys; sys.argv = ['probe', *{words.split()!r}]\n"
        "from probe.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code, e.code\n"
        "assert not {'torch', 'transformers', 'streamlit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)


def _commands(group, names):
    for name in names:
        command = group.get_command(click.Context(group), name)
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", leaf) for sub, leaf in _commands(command, command.commands))


@pytest.mark.parametrize("name", MINE)
def test_every_command_and_option_has_help(name):
    for path, command in _commands(cli, [name]):
        assert command.help, path
        for option in command.params:
            if isinstance(option, click.Option) and option.name not in ("seed", "form"):
                assert option.help, f"{path} {option.opts}"


def test_every_command_is_listed_with_its_line():
    assert set(MINE) <= set(COMMANDS)


def test_options_have_twins_in_the_environment(probe, llava, images, tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE_WORKSPACE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PROBE_SOURCES_ADD_PATH", str(llava))
    monkeypatch.setenv("PROBE_SOURCES_ADD_IMAGES", str(images))
    monkeypatch.setenv("PROBE_SOURCES_ADD_LICENCE", "MIT")
    assert probe("sources", "add", "mine").code == 0
    assert probe("sources", "show", "mine", "--json").json()["licence_declared"] == "MIT"
    assert (tmp_path / "elsewhere" / "probe.db").is_file()


def test_a_misspelt_command_gets_a_suggestion(probe):
    ended = probe("source", "list")
    assert ended.code == 2
    assert "did you mean 'sources'?" in ended.err


def test_a_catalogue_source_offline_is_one_sentence(probe):
    ended = probe("run", "--source", "sharegpt4v", "--benchmark", "world/colour")
    assert ended.code == 1
    assert ended.err.count("Error:") == 1
    assert ended.err.strip().count("\n") == 0
    assert "probe sources add sharegpt4v" in ended.err


def test_doctor_tells_each_thing_with_its_state(probe):
    ended = probe("doctor", "--json")
    found = {row["check"]: row for row in ended.json()}
    assert {"python", "torch", "device", "disk", "file system", "workspace", "easy-vqa"} <= set(found)
    assert {row["state"] for row in found.values()} <= {"ok", "warn", "fail"}
    assert ended.code == int(any(row["state"] == "fail" for row in found.values()))


def test_doctor_fails_on_a_damaged_workspace(probe, tmp_path, monkeypatch):
    monkeypatch.setattr("probe.cli.doctor._device", lambda: iter(()))  # it imports torch in a process of its own
    (tmp_path / ".probe").mkdir()
    (tmp_path / ".probe" / "probe.db").write_bytes(os.urandom(5000))
    ended = probe("doctor")
    assert ended.code == 1
    assert "fail  workspace: " in ended.out


def test_proxies(probe):
    assert probe("proxies", "list", "--json").json()[0]["name"] == "tiny"
    assert probe("proxies", "show", "tiny", "--json").json()["family"] == "idefics3"
    assert probe("proxies", "show", "tinny").code == 1


def test_build_tiny_passes_its_options_on_and_tells_how_to_use_the_result(probe, monkeypatch):
    asked = {}

    def build_tiny(out, *, progress, **options):
        asked.update(options, out=out)
        progress(1, 2, {"colour": 1.5})
        return SimpleNamespace(folder=out, parameters=10, steps=2, weights="abc", held_out={"colour": 0.5})

    monkeypatch.setitem(sys.modules, "proxy_training.bundled.recipe", SimpleNamespace(build_tiny=build_tiny))
    ended = probe("proxies", "build", "tiny", "--out", "mine", "--steps", "2", "--afresh")
    assert (str(asked["out"]), asked["steps"], asked["resume"], asked["seed"]) == ("mine", 2, False, 0)
    assert "--proxy mine" in ended.out
    assert "colour: right on 50%" in ended.out
    assert "step 1/2: colour 1.500" in ended.err
