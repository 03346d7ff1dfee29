"""Every page on a store of many sources, benchmarks and probes: it runs, shows parts of what is much, and tells the ranking's numbers."""

import sys
from pathlib import Path

import pytest
from page_text import shown

from dashboard.navigation import PAGES
from db.store import Store
from probe.decide.tiers import ranks

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from dashboard_store import Size, fill, slugs_of

SIZE = Size(probes=420, sources=40, benchmarks=10, items=20, seeds=2, waiting=4, laddered=2)
NAMES = [Path(path).stem for path in PAGES]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    root = tmp_path_factory.mktemp("large")
    fill(root, SIZE)
    return root


@pytest.mark.parametrize("page", NAMES)
def test_every_page_runs(open_page, large, page):
    app = open_page(large, page, study="main", source=slugs_of(SIZE)[0])
    assert not app.exception
    assert not app.error
    assert app.dataframe or page in ("compare", "export")  # each shows something with numbers behind it


def test_ranks_are_those_that_the_pairs_give(open_page, large):
    table = open_page(large, "sources", study="main", design="solo").dataframe[0].value
    with Store.open(large / "probe.db", read_only=True) as store:
        pairs = [pair for pair in store.ranking("main").pairs if pair.level == "overall" and pair.decided]
    told = ranks(slugs_of(SIZE), [(p.a, p.b) if p.difference.value > 0 else (p.b, p.a) for p in pairs])
    expected = {slug: str(low) if low == high else f"{low}-{high}" for slug, (low, high) in told.items()}
    names = [link.partition("source=")[2].partition("#")[0].replace("%2F", "/") for link in table["open"]]
    assert dict(zip(names, table["rank"], strict=True)) == expected


def test_a_heat_map_of_many_sources_is_shown_in_parts(open_page, large):
    app = open_page(large, "heatmap", study="main", design="solo")
    first = app.dataframe[0].value
    app.selectbox(key="choice-from").select("25").run()
    second = app.dataframe[0].value
    assert first["source"].nunique() == 25
    assert second["source"].nunique() == 15
    assert not set(first["source"]) & set(second["source"])


def test_the_mixture_page_shows_what_the_search_saw(open_page, large):
    app = open_page(large, "mixture", study="main")
    trained = app.dataframe[0].value
    with Store.open(large / "probe.db", read_only=True) as store:
        arms = {arm.name: arm for arm in store.arms("main") if arm.role.value == "mixture"}
    assert set(trained["mixture"]) == set(arms)
    best = trained.iloc[0]
    assert best["score"] == trained["score"].max()
    weights = arms[best["mixture"]].curriculum.phases[0].mixture.weights()
    assert {slug: best[slug] for slug in weights} == pytest.approx(weights)
    assert "cannot be measured with 3 seeds" in shown(app)


def test_the_curriculum_page_shows_orders_sizes_and_slopes(open_page, large):
    app = open_page(large, "curriculum", study="main")
    frames = [element.value for element in app.dataframe]
    phases = next(frame for frame in frames if "phase" in frame)
    assert set(phases["order"]) == {"staged", "reversed"}
    tops = phases.groupby(["order", "phase"])["top"].max()
    assert tops.to_numpy() == pytest.approx(1.0)
    evidence = next(frame for frame in frames if "against" in frame and "size" in frame)
    assert set(evidence["size"]) == set(SIZE.orders)
    assert set(evidence["against"]) == {"mixed, same restarts"}
    slopes = next(frame for frame in frames if "told from nil" in frame)
    assert set(slopes["order"]) == {"staged", "reversed", "mixed, one schedule"}


def test_a_source_trained_at_several_sizes_has_a_curve_with_a_forecast(open_page, large):
    app = open_page(large, "source", study="main", source=slugs_of(SIZE)[0])
    curve = next(element.value for element in app.dataframe if "kind" in element.value)
    assert list(curve[curve["kind"] == "trained"]["size"]) == list(SIZE.ladder)
    assert list(curve[curve["kind"] == "forecast"]["size"]) == [40_000, 80_000]
    assert "One doubling is worth" in shown(app)


def test_overview_says_how_the_proxy_agrees_with_full_scale(open_page, large):
    assert "Agreement with full scale: no full-scale result is recorded" in shown(open_page(large, "overview", study="main"))
