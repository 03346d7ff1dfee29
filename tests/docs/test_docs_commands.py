"""Every command that README and docs/ name exists, with the options named; those that only list something really run."""

import ast
import json
import tomllib

import click
import pytest
from commands_in_docs import block_commands, blocks, documents, inline_commands, options_of, resolve, words_of

from probe.cli.main import cli
from probe.commands import COMMANDS

DOCUMENTS = documents()


def named(document):
    return [command for block in blocks(document) for command in block_commands(block.text)] + inline_commands(document)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_names_exists_with_its_options(document):
    wrong = []
    for text in named(document):
        try:
            command, path, _, rest = resolve([word for part in words_of(text) for word in part.split("|")[:1]])
        except LookupError as error:
            if not str(error).strip("'").isupper() and str(error).strip("'") not in ("COMMAND", "..."):
                wrong.append(f"{text}: there is no command {error}")
            continue
        options = {word.split("=")[0] for word in rest if word.startswith("--") and len(word) > 2}
        options |= {word.split("=")[0] for part in words_of(text) for word in part.split("|") if word.startswith("--") and len(word) > 2}
        unknown = options - options_of(command) - options_of(cli)
        wrong += [f"{text}: `probe {' '.join(path)}` has no option {option}" for option in sorted(unknown)]
    assert not wrong


def test_every_command_is_in_a_document():
    text = "\n".join(command for document in DOCUMENTS for command in named(document))
    assert not [name for name in COMMANDS if f"probe {name}" not in text]


@pytest.mark.parametrize(
    "block", [block for document in DOCUMENTS for block in blocks(document) if block.language], ids=lambda b: f"{b.document}:{b.line}"
)
def test_code_in_a_known_language_can_be_read(block):
    if block.language == "python":
        ast.parse(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "json":
        assert all(json.loads(line) for line in block.text.splitlines())
    else:
        assert block.language in ("sh", "text", "yaml", "tsv"), "say what a block is: sh, text, python, toml, json, yaml, tsv"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_blocks_are_valid_command_lines(document):
    wrong = []
    for text in [command for block in blocks(document) for command in block_commands(block.text)]:
        if any(mark in text for mark in ("[", "...", "|")):
            continue  # a synopsis
        command, _path, _, rest = resolve(words_of(text))
        try:
            command.make_context("probe", [word.removesuffix(";") for word in rest])
        except click.UsageError as error:
            if "does not exist" not in error.message:
                wrong.append(f"{text}: {error.format_message()}")
        except click.exceptions.Exit:
            pass  # --help
    assert not wrong


@pytest.mark.parametrize("text", ["probe rank --nonsense", "probe sources list --jsn", "probe sources chek mine"])
def test_a_command_that_does_not_exist_is_found(text):
    try:
        command, _, _, rest = resolve(words_of(text))
    except LookupError:
        return
    assert {word for word in rest if word.startswith("--")} - options_of(command)
