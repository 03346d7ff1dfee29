import dataclasses
import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from jsonschema import Draft202012Validator

from probe.manifest import (
    ManifestError,
    manifest_json,
    manifest_lines,
    manifest_schema,
    mixture_markdown,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from probe.manifest.document import Manifest
from probe.manifest.example import STAGED, complete_manifest, example_manifest
from probe.manifest.typed_json import NEWER, field_types, from_plain, to_plain
from sources.estimate import Estimate

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = {"static": example_manifest, "staged": lambda: example_manifest(STAGED), "complete": complete_manifest}


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_manifests_fit_the_schema_and_are_what_is_written_today(name):
    """`static` and `staged` are as the first version wrote them; `complete` has every newer field."""
    path, doc = GOLDEN / f"{name}.json", EXAMPLES[name]()
    assert read_manifest(path) == doc
    assert path.read_text() == manifest_json(doc)


def test_a_manifest_survives_its_file(tmp_path):
    doc = example_manifest(STAGED)
    path = write_manifest(doc, tmp_path / "manifests")
    assert path.name == f"main-{doc.hash[:12]}.json"
    assert read_manifest(path) == doc
    assert write_manifest(doc, path.parent) == path
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_hash_does_not_depend_on_key_order_or_provenance_or_number_types():
    doc = example_manifest()
    turned = dict(reversed(doc.phases[0].counts.items()))
    again = dataclasses.replace(doc, phases=(dataclasses.replace(doc.phases[0], counts=turned),))
    later = dataclasses.replace(
        again, provenance=dataclasses.replace(doc.provenance, created_at="2027-01-01", version="9", commit="f" * 40)
    )
    assert later.hash == doc.hash
    shuffled = json.dumps(dict(reversed(json.loads(manifest_json(doc)).items())))
    assert parse_manifest(shuffled).hash == doc.hash
    whole = dataclasses.replace(doc, phases=(dataclasses.replace(doc.phases[0], share=1),))
    assert whole.hash == doc.hash


def test_the_complete_example_leaves_no_field_out():
    plain = complete_manifest().plain()
    schema = manifest_schema()
    assert set(plain) | {"hash"} == set(schema["properties"])
    written = [plain["study"], plain["provenance"], *plain["phases"], *plain["sources"]]
    kinds = ["StudyEntry", "Provenance", *["PhaseEntry"] * 2, *["SourceEntry"] * 2]
    for kind in set(kinds):
        told = {
            name for entry, its in zip(written, kinds, strict=True) if its == kind for name, value in entry.items() if value is not None
        }
        assert told == set(schema["$defs"][kind]["properties"])


def test_hash_depends_on_every_other_field():
    plain = to_plain(complete_manifest())
    hashes = {complete_manifest().hash}
    for path in _leaves(plain):
        if path[0] in ("provenance", "schema_version"):
            continue
        changed = json.loads(json.dumps(plain))
        target = changed
        for step in path[:-1]:
            target = target[step]
        old = target[path[-1]]
        target[path[-1]] = (not old) if isinstance(old, bool) else old + 1 if isinstance(old, (int, float)) else f"{old}x"
        hashes.add(from_plain(Manifest, changed).hash)
    expected = sum(1 for path in _leaves(plain) if path[0] not in ("provenance", "schema_version"))
    assert len(hashes) == expected + 1


@pytest.mark.parametrize(
    "tamper",
    [
        lambda d: d["phases"][0]["counts"].update({"chart/qa": 301}),
        lambda d: d["confirmed"]["uniform"].update(held=False),
        lambda d: d["licences"].update(flagged=[]),
        lambda d: d["sources"][0].update(fingerprint="other"),
        lambda d: d.update(hash="0" * 32),
    ],
)
def test_tampering_is_detected(tamper):
    plain = json.loads(manifest_json(example_manifest()))
    tamper(plain)
    with pytest.raises(ManifestError, match=r"^m.json was changed after it was written: its hash is \w{32}, the document says \w{32}"):
        parse_manifest(json.dumps(plain), "m.json")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda d: d.update(extra=1), "schema says"),
        (lambda d: d["sources"][0].pop("licence"), r"sources\[0\].*licence"),
        (lambda d: d["confirmed"]["uniform"].update(gain=0.04), "confirmed"),
        (lambda d: d.update(schema_version=2), "schema_version 2, this probe reads 1"),
        (lambda d: d.pop("schema_version"), "not a manifest"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused_with_its_place(break_it, message):
    plain = json.loads(manifest_json(example_manifest()))
    break_it(plain)
    with pytest.raises(ManifestError, match=message):
        parse_manifest(json.dumps(plain))


def test_text_that_is_no_manifest_is_one_sentence(tmp_path):
    with pytest.raises(ManifestError, match="not JSON"):
        parse_manifest("{")
    with pytest.raises(ManifestError, match="not a manifest"):
        parse_manifest("[]")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="UTF-8"):
        read_manifest(tmp_path / "binary.json")


def test_a_number_without_json_form_is_refused_by_name():
    doc = dataclasses.replace(example_manifest(), predicted={"uniform": Estimate(0.1, float("nan"), 0.0, 0.2, 1)})
    with pytest.raises(ManifestError, match=r"predicted\.uniform\.stderr is nan"):
        manifest_json(doc)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {"budget": dataclasses.replace(d.budget, amount=999)}, "budget is 999 samples, the phases count 1000"),
        (lambda d: {"phases": (dataclasses.replace(d.phases[0], share=0.5),)}, "shares do not sum to 1"),
        (lambda d: {"sources": d.sources[:1]}, "web/captions, which is not among the sources"),
        (lambda d: {"sources": (dataclasses.replace(d.sources[0], rows=1), d.sources[1])}, "chart/qa says 1 row, its phases count 300"),
        (lambda d: {"sources": (dataclasses.replace(d.sources[0], available=1000), d.sources[1])}, "1000 rows were read, .* make 1003"),
        (lambda d: {"sources": (dataclasses.replace(d.sources[0], contaminated=1), d.sources[1])}, "1 contaminated rows, 0 are excluded"),
        (lambda d: {"sources": (dataclasses.replace(d.sources[0], usable=0, repeat=0), d.sources[1])}, "no usable row"),
        (
            lambda d: {"phases": (dataclasses.replace(d.phases[0], weights={"chart/qa": 0.5, "web/captions": 0.5}),)},
            "counts 300 rows of chart/qa, its weights make 500",
        ),
    ],
)
def test_contradictions_are_refused(tmp_path, change, message):
    doc = example_manifest()
    with pytest.raises(ManifestError, match=message):
        write_manifest(dataclasses.replace(doc, **change(doc)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_schema_has_exactly_the_fields_of_the_values():
    schema = manifest_schema()
    seen = {}
    _walk(Manifest, seen)
    seen.pop("Manifest")
    assert set(schema["$defs"]) == set(seen)
    for name, kind in seen.items():
        fields = list(field_types(kind))
        assert list(schema["$defs"][name]["properties"]) == fields
        newer = [field.name for field in dataclasses.fields(kind) if field.metadata.get(NEWER)]
        assert schema["$defs"][name]["required"] == [field for field in fields if field not in newer]
        assert schema["$defs"][name]["additionalProperties"] is False
    assert list(schema["properties"]) == ["hash", *field_types(Manifest)]


def test_every_field_is_in_the_documentation_under_its_heading():
    text = (Path(__file__).parents[3] / "docs" / "manifest.md").read_text()
    sections = {part.split("\n", 1)[0].strip(): part for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]}
    schema = manifest_schema()
    for name, entry in {"Manifest": schema, **schema["$defs"]}.items():
        missing = [field for field in entry["properties"] if f"| `{field}` |" not in sections[name]]
        assert not missing, (name, missing)
    assert set(sections) == {"Manifest", *schema["$defs"]}


def test_the_schema_is_valid_and_the_hash_is_what_it_says():
    Draft202012Validator.check_schema(manifest_schema())
    plain = json.loads((GOLDEN / "staged.json").read_text())
    hashed = {key: value for key, value in plain.items() if key not in ("hash", "provenance")}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert hashlib.blake2b(len(text).to_bytes(8, "little") + text, digest_size=16).hexdigest() == plain["hash"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema_version": NaN}', "null", '"x"', ""])
def test_hostile_text_is_one_sentence(text):
    with pytest.raises(ManifestError):
        parse_manifest(text)


@pytest.mark.parametrize("number", ["NaN", "1e999"])
def test_numbers_that_json_cannot_hold_are_one_sentence(number):
    text = manifest_json(example_manifest()).replace('"noise_floor": 0.012', f'"noise_floor": {number}')
    with pytest.raises(ManifestError, match=r"study\.noise_floor is (nan|inf)"):
        parse_manifest(text)


def test_show_and_markdown_say_the_essentials():
    doc = example_manifest()
    text = "\n".join(manifest_lines(doc))
    for part in (doc.hash, "web/captions", "70.0%", "700 rows", "+0.040 [+0.020, +0.060]", "held", "non-commercial", "illustration"):
        assert part in text
    unconfirmed = "\n".join(manifest_lines(dataclasses.replace(doc, confirmed=None)))
    assert "not confirmed" in unconfirmed
    assert "over all phases:" in manifest_lines(example_manifest(STAGED))
    hostile = dataclasses.replace(doc, warnings=("<script>alert(1)</script>\n# x",))
    assert "<script>" not in mixture_markdown(hostile)
    assert "CC-BY-4.0 AND CC-BY-NC-4.0" in mixture_markdown(doc)


def _walk(kind: Any, seen: dict[str, Any]) -> None:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, typing.Union, tuple, Mapping):
        for arg in args:
            _walk(arg, seen)
    elif dataclasses.is_dataclass(kind) and kind.__name__ not in seen:
        seen[kind.__name__] = kind
        for hint in field_types(kind).values():
            _walk(hint, seen)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for i, item in enumerate(value) for leaf in _leaves(item, (*path, i))]
    return [] if value is None else [path]


def test_shares_are_of_the_whole_budget():
    doc = example_manifest()
    phases = (
        dataclasses.replace(doc.phases[0], share=0.25, weights={"a": 1.0}),
        dataclasses.replace(doc.phases[0], share=0.75, weights={"a": 0.2, "b": 0.8}),
    )
    assert dataclasses.replace(doc, phases=phases).shares() == pytest.approx({"a": 0.4, "b": 0.6})
