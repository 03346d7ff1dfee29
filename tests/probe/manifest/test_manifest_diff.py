import dataclasses
import json

import pytest

from probe.manifest import ConfirmedGain, DrawEntry, Manifest, diff_lines, diff_manifests, read_manifest, write_manifest
from probe.manifest.diff import SECTIONS, Difference
from probe.manifest.example import example_manifest
from probe.manifest.typed_json import from_plain
from sources.canonical import content_hash
from sources.estimate import Estimate

DOC = example_manifest()
SOURCE = DOC.sources[0]


def changed(**fields):
    return dataclasses.replace(DOC, **fields)


def changed_source(**fields):
    return changed(sources=(dataclasses.replace(SOURCE, **fields), *DOC.sources[1:]))


def test_a_manifest_does_not_differ_from_itself_or_from_its_file(tmp_path):
    again = read_manifest(write_manifest(DOC, tmp_path))
    found = diff_manifests(DOC, again)
    assert found.differences == ()
    assert found.same_decision
    assert diff_lines(found)[-1] == "the same decision"


def test_a_baseline_differs_by_what_it_holds_and_not_by_what_it_names():
    one, other = (changed(baselines={"best_single": {"chart/qa": 1.0} | more}) for more in ({}, {"web/captions": 0.0}))
    assert diff_manifests(one, other).differences == ()
    mixed = changed(baselines={"best_single": {"chart/qa": 0.9, "web/captions": 0.1}})
    path = ("baselines", "best_single", "web/captions")
    assert Difference(path, None, 0.1, "only_b") in diff_manifests(other, mixed).differences
    assert diff_manifests(changed(baselines={}), one).differences == (
        Difference(("baselines", "best_single", "chart/qa"), None, 1.0, "only_b"),
    )


GAIN = ConfirmedGain(Estimate(0.01, 0.01, -0.01, 0.03, 450), held=False)
CHANGES = {
    "a number": (changed(sampling_seed=4), [Difference(("sampling_seed",), 0, 4)]),
    "a count": (
        changed(phases=(dataclasses.replace(DOC.phases[0], counts={"chart/qa": 301, "web/captions": 700}),)),
        [Difference(("phases", "phase-1", "counts", "chart/qa"), 300, 301)],
    ),
    "a gain": (changed(confirmed={"uniform": GAIN}), [Difference(("confirmed", "uniform"), DOC.confirmed["uniform"], GAIN)]),
    "no claim": (changed(confirmed=None), [Difference(("confirmed", "uniform"), DOC.confirmed["uniform"], None, "only_a")]),
    "an empty claim": (changed(confirmed={}), [Difference(("confirmed", "uniform"), DOC.confirmed["uniform"], None, "only_a")]),
    "an effect": (changed_source(effect=None), [Difference(("sources", "chart/qa", "effect"), SOURCE.effect, None, "only_a")]),
    "an exclusion": (
        changed_source(excluded={"missing_image": 3, "undecodable_image": 1}),
        [Difference(("sources", "chart/qa", "excluded", "undecodable_image"), None, 1, "only_b")],
    ),
    "a licence": (
        changed_source(licence=dataclasses.replace(SOURCE.licence, terms="ask first")),
        [Difference(("sources", "chart/qa", "licence", "terms"), "", "ask first")],
    ),
    "a draw": (
        changed_source(drawn=DrawEntry("train", 10, 0)),
        [Difference(("sources", "chart/qa", "drawn"), None, DrawEntry("train", 10, 0), "only_b")],
    ),
    "a source": (changed(sources=DOC.sources[1:]), [Difference(("sources", "chart/qa"), SOURCE, None, "only_a")]),
    "sources in another order": (
        changed(sources=DOC.sources[::-1]),
        [Difference(("sources", "order"), ("chart/qa", "web/captions"), ("web/captions", "chart/qa"))],
    ),
    "evidence": (
        changed(evidence=dataclasses.replace(DOC.evidence, search=(DOC.evidence.search[1], "f" * 32))),
        [Difference(("evidence", "search"), (DOC.evidence.search[0],), ("f" * 32,))],
    ),
    "evidence in another order": (
        changed(evidence=dataclasses.replace(DOC.evidence, search=DOC.evidence.search[::-1])),
        [Difference(("evidence", "search", "order"), DOC.evidence.search, DOC.evidence.search[::-1])],
    ),
    "a number of another type in the recipe": (
        changed(proxy=dataclasses.replace(DOC.proxy, recipe={"rank": 8.0, "learning_rate": 0.002})),
        [Difference(("proxy", "recipe", "rank"), 8, 8.0)],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_one_change_is_one_difference(what):
    other, expected = CHANGES[what]
    found = diff_manifests(DOC, other)
    assert list(found.differences) == expected
    assert [type(value) for d in found.differences for value in (d.a, d.b)] == [type(value) for d in expected for value in (d.a, d.b)]
    assert not found.same_decision


@pytest.mark.parametrize("what", CHANGES)
def test_differences_turn_round_with_the_manifests(what):
    other, expected = CHANGES[what]
    turned = {"changed": "changed", "only_a": "only_b", "only_b": "only_a"}
    back = diff_manifests(other, DOC)
    assert list(back.differences) == [Difference(d.path, d.b, d.a, turned[d.kind]) for d in expected]


@pytest.mark.parametrize("what", CHANGES)
def test_text_tells_the_two_sides_apart(what):
    other, _ = CHANGES[what]
    lines = diff_lines(diff_manifests(DOC, other))
    a, b = ([line.strip()[1:] for line in lines if line.strip().startswith(mark)] for mark in "-+")
    assert a or b
    assert a != b


def test_nothing_known_is_not_nothing_excluded():
    unknown, none = changed_source(excluded=None), changed_source(excluded={})
    assert diff_manifests(unknown, none).differences == (Difference(("sources", "chart/qa", "excluded"), None, {}),)


def test_who_wrote_it_is_a_difference_but_no_other_decision():
    found = diff_manifests(DOC, changed(provenance=dataclasses.replace(DOC.provenance, created_at="2027-01-01")))
    assert found.same_decision
    assert [d.path for d in found.differences] == [("provenance", "created_at")]


def test_numbers_as_the_document_writes_them_do_not_differ():
    whole = changed(phases=(dataclasses.replace(DOC.phases[0], share=1),))
    assert diff_manifests(DOC, whole).differences == ()


def test_every_section_is_compared():
    assert sorted(SECTIONS) == sorted(field.name for field in dataclasses.fields(Manifest))


def test_every_leaf_of_the_document_matters():
    """Whatever value of the plain document is changed, the hash and the differences agree that something did."""
    plain = DOC.plain()

    def leaves(value, path=()):
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
        if items is None:
            yield path
        else:
            for key, inner in items:
                yield from leaves(inner, (*path, key))

    for path in leaves(plain):
        other = json.loads(json.dumps(plain))
        holder = other
        for key in path[:-1]:
            holder = holder[key]
        old = holder[path[-1]]
        if isinstance(old, str | type(None)):
            holder[path[-1]] = f"{old or ''}x" if isinstance(old, str) else content_hash("x")
        else:
            holder[path[-1]] = (not old) if isinstance(old, bool) else old + 1
        if path[0] in ("provenance", "schema_version"):
            continue
        try:
            doc = from_plain(Manifest, other)
        except ValueError:
            continue  # None where a number or an object belongs
        assert diff_manifests(DOC, doc).differences, path


def test_hostile_texts_stay_one_line_each():
    lines = diff_lines(diff_manifests(DOC, changed(warnings=("one\ntwo\x1b[2J",))))
    assert lines[-1] == "    + one\\ntwo\\x1b[2J"


def test_what_people_decide_by_comes_first_and_what_the_search_worked_out_is_only_counted():
    own = {"epoch_cap": 4.0, "surrogate": {"families": {"ridge": 0.6, "gaussian-process": 0.2}}, "flat_optimum": {"seeds": 3}}
    then = dataclasses.replace(DOC.optimiser, parameters=own)
    now = dataclasses.replace(then, parameters={"epoch_cap": 2.0, "surrogate": {"families": {"ridge": 0.5}}, "flat_optimum": {"seeds": 5}})
    more = dataclasses.replace(SOURCE, usable=SOURCE.usable + 1)
    a = changed(optimiser=then)
    b = changed(optimiser=now, confirmed={"uniform": GAIN}, warnings=("look",), sources=(more, *DOC.sources[1:]))
    found = diff_manifests(a, b)
    assert [d.section for d in found.differences if not d.inner] == ["confirmed", "warnings", "sources", "optimiser"]
    inner = {d.path[2:] for d in found.differences if d.inner}
    assert inner == {("surrogate", "families", "ridge"), ("surrogate", "families", "gaussian-process"), ("flat_optimum", "seeds")}
    lines = diff_lines(found)
    assert lines.index("warnings") < lines.index("HOW THEY WERE COME BY") < lines.index("sources") < lines.index("optimiser")
    assert "  parameters epoch_cap" in lines
    assert "  3 differences in what the search worked out on its way (--json shows them)" in lines
    assert not [line for line in lines if "ridge" in line or "flat_optimum" in line]
    assert len(found.plain()["differences"]) == len(found.differences)
