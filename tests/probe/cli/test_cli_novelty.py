import pytest

OURS = """
[mine]
title = "Ours"
format = "llava"
images = ["."]
capabilities = ["recognition"]

[[base]]
name = "Our tiny"
presets = ["tiny"]
trained_on = ["mine"]
link = "https://example.org/card"
"""
WHY = "not new to tiny: mine; Our tiny was trained on mine (https://example.org/card)"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A catalogue of the user's own, which says that the bundled proxy has seen `mine`."""
    path = tmp_path / "own.toml"
    path.write_text(OURS)
    monkeypatch.setenv("PROBE_CATALOGUE", str(path))


def test_run_and_rank_say_that_a_source_is_not_new_to_the_proxy(probe, own, mine, bench):
    ended = probe("run", "--source", mine, "--samples", "16", "--seeds", "1", "--benchmark", bench, "--workers", "1", "--json")
    assert ended.code == 0, ended.err
    assert ended.err.count(WHY) == 1
    for ranking in (ended.json(), probe("rank", "--json").json()):
        assert [row["not_new_to_proxy"] for row in ranking["sources"]] == [WHY]
        assert ranking["warnings"].count(WHY) == 1
    assert f"Note: {WHY}" in probe("rank").out
    assert WHY in [note["text"] for note in probe("studies", "show", "main", "--json").json()["notes"]]


def test_show_names_the_bases_and_overlaps(probe, own, mine):
    shown = probe("sources", "show", mine, "--json").json()
    assert (shown["catalogue"], shown["not_new_to"], shown["overlaps"]) == ("mine", "Our tiny", "")
    shown = probe("sources", "show", "sharegpt4v-mix665k", "--json").json()
    assert "shares rows with llava-665k (about 642,000 rows" in shown["overlaps"]
    assert "LLaVA-1.5 (parts)" in shown["not_new_to"]
    assert "licence: https://huggingface.co/datasets/Lin-Chen/ShareGPT4V" in shown["facts"]
    assert "recognition" in {tag for row in probe("sources", "list", "--json").json() for tag in row["capabilities"].split()}


def test_a_proxy_shows_what_its_base_has_seen(probe, own):
    assert "generated world" in probe("proxies", "show", "tiny").out


def test_list_is_narrowed_by_capability_and_licence(probe):
    rows = probe("sources", "list", "--capability", "charts and documents", "--json").json()
    tags = [set(row["capabilities"].split()) for row in rows]
    assert tags
    assert all(tag & {"charts", "documents", "tables", "diagrams", "screens"} for tag in tags)
    free = {row["slug"]: row["licence"] for row in probe("sources", "list", "--commercial", "--json").json()}
    assert free["cauldron-textvqa"] == "CC-BY-4.0"
    assert not {"sharegpt4v", "the-cauldron", "cauldron-iconqa", "svit", "llava-665k"} & set(free)
    assert not any("NC" in licence or "LicenseRef" in licence or "NOASSERTION" in licence for licence in free.values())
    assert probe("sources", "list", "--capability", "charts", "--commercial").code == 0


def test_a_capability_that_nothing_has_is_a_wrong_use(probe):
    ended = probe("sources", "list", "--capability", "sharts")
    assert ended.code == 2
    assert "charts" in ended.err


def test_a_broken_own_catalogue_is_one_sentence(probe, tmp_path, monkeypatch):
    path = tmp_path / "own.toml"
    path.write_text("[a]\nrows = 'many'")
    monkeypatch.setenv("PROBE_CATALOGUE", str(path))
    ended = probe("sources", "list")
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert "rows = 'many'" in ended.err
