import dataclasses

import pytest

from probe.manifest import manifest_lines, mixture_markdown, mixture_terms
from probe.manifest.example import complete_manifest, example_manifest
from probe.manifest.licences import summarise_licences
from sources.spec import Licence


def of(**licences):
    """A manifest whose sources have these licences; a tuple is a licence and provider terms."""
    doc = example_manifest((dict.fromkeys(licences, 10),))
    read = {slug: Licence(*value) if isinstance(value, tuple) else Licence(value) for slug, value in licences.items()}
    entries = tuple(dataclasses.replace(entry, licence=read[entry.slug]) for entry in doc.sources)
    return dataclasses.replace(doc, sources=entries, licences=summarise_licences((e.slug, e.licence) for e in entries))


@pytest.mark.parametrize(
    ("licences", "commercial"),
    [
        ({"a": "MIT", "b": "CC-BY-4.0"}, True),
        ({"a": "MIT", "b": "CC-BY-NC-4.0"}, False),
        ({"a": "MIT", "b": "CC-BY-NC-4.0 OR MIT"}, True),  # the freer alternative counts
        ({"a": "MIT AND CC-BY-NC-SA-4.0"}, False),
        ({"a": "MIT", "b": "LicenseRef-academic-only"}, None),
        ({"a": "MIT", "b": ""}, None),
        ({"a": "CC-BY-NC-4.0", "b": ""}, False),
    ],
)
def test_whether_a_mixture_may_be_used_commercially(licences, commercial):
    assert mixture_terms(of(**licences)).commercial is commercial


@pytest.mark.parametrize(
    ("licences", "told"),
    [
        ({"a": "MIT", "b": "CC-BY-4.0", "c": "Apache-2.0"}, []),
        ({"a": "CC-BY-SA-4.0", "b": "CC-BY-SA-3.0", "c": "CC-BY-4.0"}, []),
        ({"a": "CC-BY-SA-4.0", "b": "GPL-3.0-only OR MIT"}, []),
        (
            {"a": "CC-BY-SA-4.0", "b": "CC-BY-NC-SA-4.0"},
            ["CC-BY-NC-SA (b) and CC-BY-SA (a): each asks that what is made of it be under itself"],
        ),
        ({"a": "CC-BY-SA-4.0", "b": "CC-BY-NC-4.0"}, ["a (CC-BY-SA-4.0) may not be restricted further, and b (CC-BY-NC-4.0) would"]),
        ({"a": "ODbL-1.0", "b": "LicenseRef-own"}, ["a (ODbL-1.0) may not be restricted further, and b (LicenseRef-own) would"]),
        ({"a": "MIT", "b": "CC-BY-ND-4.0"}, ["b (CC-BY-ND-4.0) may not be passed on changed, and a mixture is a changed form of it"]),
        ({"a": "CC-BY-NC-SA-4.0", "b": "CC-BY-NC-4.0"}, []),
        (
            {"a": "CC-BY-SA-4.0", "b": "CC-BY-NC-SA-4.0", "c": "CC-BY-SA-3.0"},
            ["CC-BY-NC-SA (b) and CC-BY-SA (c, a): each asks that what is made of it be under itself"],
        ),
    ],
)
def test_members_that_do_not_go_together(licences, told):
    doc = of(**licences)
    assert list(mixture_terms(doc).conflicts) == told
    shown = "\n".join(manifest_lines(doc))
    assert all(f"conflict: {one}" in shown for one in told)
    assert ("do not go together" in mixture_markdown(doc)) == bool(told)


def test_each_kind_of_member_is_named():
    terms = mixture_terms(of(a="CC-BY-NC-ND-4.0", b=("MIT", "", "ask the provider  first"), c="LicenseRef-x", d="", e="GPL-3.0-or-later"))
    assert (terms.noncommercial, terms.no_derivatives, terms.share_alike) == (("a",), ("a",), ("e",))
    assert (terms.own_terms, terms.unknown, terms.unreadable) == (("c",), ("d",), ())
    assert terms.provider_terms == {"b": "ask the provider first"}
    assert terms.sentence() == "Not for commercial use: a"


SELF = "each asks that what is made of it be under itself"


@pytest.mark.parametrize(
    ("licences", "told"),
    [
        ({"a": "GPL-3.0-only", "b": "AGPL-3.0-only"}, []),  # section 13 of both
        ({"a": "GPL-3.0-or-later", "b": "AGPL-3.0-or-later", "c": "GPL-2.0-or-later"}, []),
        ({"a": "GPL-2.0-only", "b": "GPL-3.0-only"}, [f"GPL-2.0-only (a) and GPL-3.0-only (b): {SELF}"]),
        ({"a": "GPL-2.0-only", "b": "GPL-3.0-or-later"}, [f"GPL-2.0-only (a) and GPL-3.0-or-later (b): {SELF}"]),
        ({"a": "GPL-2.0-only", "b": "GPL-2.0-or-later"}, []),
        ({"a": "GPL-2.0+", "b": "GPL-3.0"}, []),
        ({"a": "GPL-2.0-only", "b": "AGPL-3.0-only"}, [f"AGPL (b) and GPL (a): {SELF}"]),
        ({"a": "GPL-2.0-only OR GPL-3.0-only", "b": "AGPL-3.0-only"}, []),
        ({"a": "GPL-2.0-only WITH Classpath-exception-2.0", "b": "GPL-2.0-only"}, []),
        ({"a": "AGPL-1.0-only", "b": "AGPL-3.0-only"}, [f"AGPL-1.0-only (a) and AGPL-3.0-only (b): {SELF}"]),
        ({"a": "CC-BY-SA-4.0", "b": "GPL-3.0-or-later"}, []),  # what is made of it may be under GPL-3.0
        ({"a": "CC-BY-SA-3.0", "b": "GPL-3.0-only"}, [f"CC-BY-SA (a) and GPL (b): {SELF}"]),
        ({"a": "CC-BY-SA-4.0", "b": "GPL-2.0-only"}, [f"CC-BY-SA (a) and GPL (b): {SELF}"]),
        ({"a": "CC-BY-SA-4.0", "b": "AGPL-3.0-only"}, [f"AGPL (b) and CC-BY-SA (a): {SELF}"]),
        ({"a": "GFDL-1.2-only", "b": "GFDL-1.3-only"}, [f"GFDL-1.2-only (a) and GFDL-1.3-only (b): {SELF}"]),
        ({"a": "GFDL-1.2-or-later", "b": "GFDL-1.3-only"}, []),
        ({"a": "CC-BY-SA-4.0 AND ODbL-1.0", "b": "MIT"}, [f"CC-BY-SA (a) and ODbL (a): {SELF}"]),
    ],
)
def test_which_copyleft_licences_go_together(licences, told):
    assert list(mixture_terms(of(**licences)).conflicts) == told


def test_what_is_not_chosen_does_not_count_and_what_cannot_be_read_is_named():
    doc = of(a="MIT", b="CC-BY-NC-4.0")
    phase = dataclasses.replace(doc.phases[0], weights={"a": 1.0}, counts={"a": 20})
    entries = (dataclasses.replace(doc.sources[0], rows=20), dataclasses.replace(doc.sources[1], rows=0))
    assert mixture_terms(dataclasses.replace(doc, phases=(phase,), sources=entries)).commercial is True
    broken = (dataclasses.replace(doc.sources[0], licence=Licence("(MIT")), doc.sources[1])
    assert mixture_terms(dataclasses.replace(doc, sources=broken)).unreadable == ("a",)


def test_the_card_says_what_how_sure_which_terms_and_how_to_check():
    doc = complete_manifest()
    text = mixture_markdown(doc)
    for part in (
        doc.hash,
        "+0.040 [+0.020, +0.060] n=450",
        "CC-BY-4.0 AND CC-BY-NC-4.0",
        "Not for commercial use: web/captions",
        "Provider terms:",
        "- web/captions: captions by a provider whose terms forbid competing models",
        f"probe manifest verify {doc.hash[:12]}",
        f"probe export {doc.hash[:12]} --trainer jsonl --out DIR",
        "The learning rate starts again at phase-2",
        "Rows that hold an item of chart-test are excluded",
        "| chart/qa | someone/charts qa",
    ):
        assert part in text
    static = mixture_markdown(example_manifest())
    assert "0.0000 to 1.0000" in static


HOSTILE = "`x` <script>alert(1)</script> | [a](javascript:b) ![i](http://x) # h\n# y\x1b[2J"


def test_nothing_from_outside_acts_in_the_card():
    doc = complete_manifest()
    entry = dataclasses.replace(
        doc.sources[0],
        slug=HOSTILE,
        hub_id=HOSTILE,
        subset=HOSTILE,
        revision=HOSTILE,
        licence=Licence("MIT", terms=HOSTILE),
        verdict=HOSTILE,
    )
    phase = dataclasses.replace(doc.phases[0], name=HOSTILE, weights={HOSTILE: 1.0}, counts={HOSTILE: 1}, restarts=True)
    flag = dataclasses.replace(doc.licences.flagged[0], source=HOSTILE, licence=HOSTILE, reason=HOSTILE)
    hostile = dataclasses.replace(
        doc,
        study=dataclasses.replace(doc.study, name=HOSTILE, clean_of=(HOSTILE,)),
        proxy=dataclasses.replace(doc.proxy, name=HOSTILE, weights_hash=HOSTILE),
        phases=(phase, doc.phases[1]),
        sources=(entry, *doc.sources),
        licences=dataclasses.replace(doc.licences, expression=HOSTILE, flagged=(flag,)),
        objective=dataclasses.replace(doc.objective, metric=HOSTILE),
        optimiser=dataclasses.replace(doc.optimiser, name=HOSTILE, observations_digest=HOSTILE),
        provenance=dataclasses.replace(doc.provenance, version=HOSTILE, commit=HOSTILE, tool=HOSTILE, created_at=HOSTILE),
        predicted={HOSTILE: doc.predicted["uniform"]},
        warnings=(HOSTILE,),
    )
    text = mixture_markdown(hostile)
    assert "<script" not in text
    assert "\x1b" not in text
    assert "[a](" not in text
    assert "`x`" not in text
    assert not any(line.startswith("# y") for line in text.splitlines())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = {row.replace("\\|", "").count("|") for row in rows}
    assert widths == {row.count("|") for row in mixture_markdown(doc).splitlines() if row.startswith("|")}


def test_baselines_that_are_one_mixture_are_told_once():
    doc = example_manifest()
    shares = doc.baselines["uniform"]
    gain = doc.confirmed["uniform"]
    names = ("base", "uniform", "proportional")
    other = dataclasses.replace(gain, held=not gain.held)
    doc = dataclasses.replace(
        doc,
        baselines=dict.fromkeys(names, shares) | {"capped": {"chart/qa": 1.0}},
        confirmed={"base": gain, "capped": gain, "uniform": gain, "proportional": other},
        predicted=dict.fromkeys((*names, "capped"), gain.gain),
    )
    text = mixture_markdown(doc)
    assert text.count("| base = uniform |") == 1
    assert "| base = uniform = proportional |" in text
    assert (text.count("| uniform |"), text.count("| proportional |")) == (0, 1)  # another confirmation found another gain
    assert "Baselines joined by = are one and the same mixture." in text
    shown = "\n".join(manifest_lines(doc))
    assert "base = uniform " in shown
    assert "base = uniform = proportional  " in shown
    assert "joined by =" not in mixture_markdown(example_manifest())
