import pytest

from probe.manifest import LicenceError, normalise_licence, summarise_licences
from sources.spec import Licence


@pytest.mark.parametrize(
    ("given", "normal"),
    [("cc-by-4.0", "CC-BY-4.0"), ("", "NOASSERTION"), ("mit AND apache-2.0", "MIT AND Apache-2.0"), ("LicenseRef-academic-only",) * 2],
)
def test_expressions_are_normalised(given, normal):
    assert normalise_licence(given) == normal


@pytest.mark.parametrize("given", ["Creative Commons", "MIT AND", "Foo", "(MIT", "CC-BY"])
def test_what_is_no_spdx_expression_is_refused_with_a_cure(given):
    with pytest.raises(LicenceError, match=r"is no SPDX (licence identifier: .*LicenseRef-|expression such as)"):
        normalise_licence(given)


def test_the_conjunction_keeps_alternatives_together():
    summary = summarise_licences([("b", Licence("MIT OR Apache-2.0")), ("a", Licence("cc-by-4.0")), ("c", Licence("CC-BY-4.0"))])
    assert summary.expression == "CC-BY-4.0 AND (MIT OR Apache-2.0)"
    assert summary.flagged == ()


@pytest.mark.parametrize(
    ("licence", "reason"),
    [
        (Licence("CC-BY-NC-4.0"), "non-commercial"),
        (Licence("CC-BY-NC-ND-4.0"), "non-commercial, no derivatives"),
        (Licence("CC-BY-ND-4.0"), "no derivatives"),
        (Licence("MIT AND CC-BY-NC-SA-2.0-DE"), "non-commercial"),
        (Licence("PolyForm-Noncommercial-1.0.0"), "non-commercial"),
        (Licence("LicenseRef-academic-only"), "terms of its own, not an SPDX licence"),
        (Licence(), "no licence known"),
        (Licence("MIT", terms="no competing models"), "provider terms: no competing models"),
        (Licence("MIT", "CC-BY-NC-4.0"), "non-commercial"),
        (Licence("MIT", "Apache-2.0"), "concluded licence differs from the declared MIT"),
    ],
)
def test_members_to_read_are_flagged(licence, reason):
    assert reason in [flag.reason for flag in summarise_licences([("s", licence)]).flagged]


def test_an_error_names_the_source():
    with pytest.raises(LicenceError, match="source web/x: 'Foo' is no SPDX"):
        summarise_licences([("web/x", Licence("Foo"))])
