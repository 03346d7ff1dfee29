"""Every command and every block of code of README and docs/ runs, in the order in which it stands there, or says why it cannot."""

import shutil

import pytest
from commands_in_docs import ROOT, blocks, documents
from document_files import write_files, write_repositories
from document_scripts import SCRIPTS, SMALL, WORKSPACES
from running_documents import CODE, COMMANDS, DATA, Script, Shell, Step, save_blocks, script_steps, steps, steps_of, substituted

from probe.commands import COMMANDS as PROBE_COMMANDS
from tests.sources.remote.hub_server import serving

DRAWN = {"docs/design.md"}  # its indented blocks are drawings
ELSEWHERE = {"docs/tutorial.md"}  # test_tutorial.py compares what it prints, too

MADE = """
    echo one > FILE     # writes
    cat FILE [--more [--most]]

<!-- not run: why -->

    false

```python
raise SystemExit(3)
```
"""


def name_of(document):
    return document.relative_to(ROOT).as_posix()


RUN = [document for document in documents() if steps(document) and name_of(document) not in DRAWN | ELSEWHERE]


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """A hub on this machine that has the data sets which documents name."""
    with serving(write_repositories(tmp_path_factory.mktemp("hub"))) as server:
        yield server


@pytest.fixture(scope="session")
def workspaces(tmp_path_factory, hub):
    """Return a function that makes a folder with files and a workspace of that name, once."""
    made = {}

    def make(name):
        if name not in made:
            below, commands = WORKSPACES[name]
            made[name] = here = tmp_path_factory.mktemp(name) / "here"
            if below:
                shutil.copytree(make(below), here)
            else:
                write_files(here)
            for line in commands.strip().splitlines():
                shell_in(here, hub).run(Step(f"workspace {name}", line))
        return made[name]

    return make


def shell_in(here, hub, settings=()):
    return Shell(
        here, SMALL | {"HF_ENDPOINT": hub.url, "HF_HOME": str(here.parent / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"} | dict(settings)
    )


@pytest.mark.slow
@pytest.mark.parametrize("document", RUN, ids=name_of)
def test_a_document_does_what_it_says(document, workspaces, hub, tmp_path):
    script = SCRIPTS[name_of(document)]
    here = shutil.copytree(workspaces(script.workspace), tmp_path / "here")
    save_blocks(document, script.saved, here)
    shell = shell_in(here, hub, script.settings)
    for step in script_steps(document, script):
        newest, older, *_ = [*shell.manifests(), "", ""]
        shell.run(
            substituted(step, {words: other.format(hub=hub.url, manifest=newest, older=older) for words, other in script.instead.items()})
        )
    assert not [name for name in script.leaves if not (here / name).stat().st_size]


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_no_command_of_a_document_escapes(document):
    found = blocks(document)
    assert {block.language for block in found} <= {*COMMANDS, *CODE, *DATA}
    assert not [block.line for block in found if block.not_run and not steps_of(block)], "a marker above what would not be run anyway"
    shown = "\n".join(block.text for block in found)
    commands = tuple(f"probe {name}" for name in PROBE_COMMANDS)
    outside = [line for line in document.read_text().splitlines() if line.strip(" $>").startswith(commands) and line.strip() not in shown]
    assert not outside, "a command outside of a block that is run"
    if name_of(document) in DRAWN:
        assert not [step for step in steps(document) if step.text.startswith(commands)]


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_table_says_nothing_that_no_document_needs(name):
    document, script = ROOT / name, SCRIPTS[name]
    assert document in RUN
    run = [step for step in steps(document) if step.text not in script.left_out]
    lines = {step.text for step in steps(document)}
    assert set(script.left_out) | set(script.between) <= lines
    if not name.startswith("docs/trainers/"):  # one script for all of them
        assert not [
            words for words, other in script.instead.items() if all(substituted(step, {words: other + "?"}) == step for step in run)
        ]


def test_what_fails_is_found_and_told(tmp_path):
    document = tmp_path / "made.md"
    document.write_text(MADE)
    (tmp_path / "here").mkdir()
    shell, script = Shell(tmp_path / "here"), Script("empty", instead={"FILE": "it.txt"})
    *commands, code = [substituted(step, script.instead) for step in script_steps(document, script)]
    assert [shell.run(step) for step in commands] == ["", "one\n"]
    with pytest.raises(AssertionError, match=r"made.md:9: raise SystemExit"):
        shell.run(code)
