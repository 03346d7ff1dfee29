import pytest

from probe.manifest.licence_rule import LicenceRule, holds
from probe.manifest.licences import LicenceError
from sources.spec import Licence

MEMBERS = [
    ("free", Licence("MIT")),
    ("either", Licence("CC-BY-NC-4.0 OR Apache-2.0")),
    ("both", Licence("MIT AND CC-BY-NC-4.0")),
    ("nc", Licence("CC-BY-NC-SA-4.0")),
    ("own", Licence("LicenseRef-NonCommercial-Research")),
    ("unknown", Licence()),
    ("concluded", Licence("CC-BY-NC-4.0", "CC-BY-4.0")),
]


def test_noncommercial_sources_are_left_out_with_their_licence_and_unknown_ones_stay():
    rule = LicenceRule.of((), no_noncommercial=True)
    assert rule.excluded(MEMBERS) == {
        "both": "MIT AND CC-BY-NC-4.0",
        "nc": "CC-BY-NC-SA-4.0",
        "own": "LicenseRef-NonCommercial-Research",
    }
    assert rule.unknown(MEMBERS) == ("unknown",)


def test_a_list_leaves_out_whatever_is_not_on_it():
    rule = LicenceRule.of(["mit", "apache-2.0"])
    assert rule.allow == ("MIT", "Apache-2.0")
    assert set(rule.excluded(MEMBERS)) == {"both", "nc", "own", "unknown", "concluded"}
    assert "nc" in LicenceRule.of(["CC-BY-NC-SA-4.0"], no_noncommercial=True).excluded(MEMBERS)
    assert LicenceRule().excluded(MEMBERS) == {}


def test_brackets_and_exceptions_are_read():
    allowed = {"MIT", "GPL-2.0-only WITH Classpath-exception-2.0"}.__contains__
    assert holds("MIT AND (CC-BY-4.0 OR GPL-2.0-only WITH Classpath-exception-2.0)", allowed)
    assert not holds("MIT AND (CC-BY-4.0 OR GPL-2.0-only)", allowed)


def test_what_is_no_licence_is_refused():
    with pytest.raises(LicenceError, match="Whatever"):
        LicenceRule.of(["Whatever"])
    with pytest.raises(LicenceError, match="source odd"):
        LicenceRule.of(["MIT"]).excluded([("odd", Licence("AND AND"))])
