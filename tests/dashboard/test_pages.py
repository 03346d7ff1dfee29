"""Each page on a workspace that is missing, on an empty store and on a filled one: what it says is what the store holds."""

import json
import shutil
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from filled_workspace import FREE_TEXT, HOSTILE, MARKDOWN, OVERALL, SCRIPT, VERDICTS, estimate
from more_decisions import OLD, keep
from page_text import shown

from dashboard.decision_frames import headline
from dashboard.frames import ranking_table
from dashboard.reading import Snapshot
from dashboard.run_frames import Asked, repeat_commands
from db.store import Store
from db.values import Design
from probe.cli.main import main
from probe.decide.benchmark_quality import ImageNeed
from probe.decide.letter_prior import LetterPrior, Place
from probe.manifest.example import example_manifest
from probe.manifest.licences import summarise_licences
from probe.study.overlap_files import KeptOverlap, keep_overlaps
from probe.study.proxy_quality import ProxyQuality
from probe.study.quality_files import keep_quality
from sources.estimate import Estimate
from sources.mixture import Curriculum, Mixture, Phase
from sources.spec import Licence

PAGES = ("overview", "sources", "heatmap", "benchmarks", "source", "runs")
QUESTIONS = {
    "overview": "What should I train on?",
    "sources": "Which sources help?",
    "heatmap": "Where does each source help?",
    "benchmarks": "Can the benchmarks tell sources apart?",
    "source": "What is in this source?",
    "runs": "What ran, what failed, what did it cost?",
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("made", [False, True])
def test_without_a_study_every_page_names_the_command_that_starts_one(open_page, tmp_path, page, made):
    if made:
        Store.open(tmp_path / "probe.db").close()
    app = open_page(tmp_path, page)
    assert not app.exception
    assert app.title[0].value == QUESTIONS[page]
    assert "probe run --source" in shown(app)


@pytest.mark.parametrize(
    ("page", "command"),
    [
        ("overview", "probe optimize --study fresh"),
        ("sources", "probe rank --study fresh"),
        ("heatmap", "probe rank --study fresh"),
        ("benchmarks", "probe run --source SOURCE --study fresh"),
        ("source", "probe run --source docs/charts --study fresh"),
        ("runs", "probe run --source SOURCE --study fresh"),
    ],
)
def test_a_study_without_probes_names_the_command_that_fills_the_page(open_page, filled, page, command):
    app = open_page(filled, page, study="fresh", source="docs/charts")
    assert not app.exception
    assert command in shown(app)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("study", ["main", "adding"])
def test_every_page_of_a_filled_study_runs(open_page, filled, page, study):
    app = open_page(filled, page, study=study)
    assert not app.exception
    assert app.title[0].value == QUESTIONS[page]
    assert app.query_params["study"] in (study, [study])


@pytest.mark.parametrize("page", ["overview", "sources", "heatmap", "source"])
def test_the_bundled_proxy_is_called_an_illustration(open_page, filled, page):
    assert "Illustration, not evidence" in shown(open_page(filled, page, study="main"))


def test_sources_shows_the_rankings_tiers_and_intervals(open_page, filled):
    table = open_page(filled, "sources", study="main").dataframe[0].value
    assert list(table["tier"]) == [tier for _, _, tier in OVERALL.values()]
    assert list(table["effect"]) == [f"{v:+.3f} [{v - half:+.3f}, {v + half:+.3f}]" for v, half, _ in OVERALL.values()]
    assert "verdict" not in table  # solo gives none


def test_sources_shows_the_rankings_verdicts(open_page, filled):
    table = open_page(filled, "sources", study="adding").dataframe[0].value
    assert [text.split(" ")[0] for text in table["verdict"]] == [VERDICTS[slug].value for slug in OVERALL]
    assert table["verdict"][1] == "undecided (+4 seeds)"


def test_a_capability_in_the_link_chooses_its_level(open_page, filled):
    app = open_page(filled, "sources", study="main", capability="charts")
    with Store.open(filled / "probe.db", read_only=True) as store:
        rows = {row.arm: row.effect for row in store.ranking("main").effects if row.name == "charts"}
    data = app.dataframe[1].value
    assert dict(zip(data["source"], data["value"], strict=True)) == {arm: e.value for arm, e in rows.items()}
    assert app.selectbox(key="choice-capability").value == "charts"


def test_choosing_writes_the_link(open_page, filled):
    app = open_page(filled, "sources", study="main")
    app.selectbox(key="choice-capability").select("charts").run()
    assert app.query_params["capability"] in ("charts", ["charts"])


def test_links_lead_to_a_source_and_keep_the_study(open_page, filled):
    links = open_page(filled, "sources", study="main").dataframe[0].value["open"]
    assert links[0] == "./source?study=main&source=docs%2Fcharts#docs%2Fcharts"
    assert all("<" not in link and "(" not in link for link in links)


def test_a_link_to_something_that_is_gone_says_so(open_page, filled):
    app = open_page(filled, "overview", study="[gone](https://example.org)")
    assert "The link names something that is not here" in shown(app)
    assert "[gone](https://example.org)" in [element.value for element in app.text]


def test_a_ranking_older_than_its_probes_names_the_command(open_page, filled):
    assert "probe rank --study adding" in shown(open_page(filled, "sources", study="adding"))
    assert "probe rank" not in shown(open_page(filled, "sources", study="main"))


def test_the_heat_map_knows_what_is_inside_the_noise(open_page, filled):
    data = pd.concat([frame.value for frame in open_page(filled, "heatmap", study="main").dataframe])
    assert len(data) == len(OVERALL) * 4
    assert list(data["inside"]) == [low <= 0 <= high for low, high in zip(data["low"], data["high"], strict=True)]


@pytest.mark.parametrize(("page", "benchmarks"), [("heatmap", {"doc-test"}), ("source", {"doc-test"})])
def test_no_scale_or_axis_holds_two_units(open_page, filled, page, benchmarks):
    shown_frames = [frame.value for frame in open_page(filled, page, study="main", source="docs/charts").dataframe]
    measured = [frame for frame in shown_frames if "metric" in frame]
    assert [set(frame["metric"]) for frame in measured] == [{"right_probability"}, {FREE_TEXT}]
    assert set(measured[1]["name" if page == "source" else "benchmark"]) == benchmarks


def test_benchmarks_shows_what_the_command_line_tells(open_page, filled, tmp_path, monkeypatch, capsys):
    root = tmp_path / "copy"
    shutil.copytree(filled, root)
    with Store.open(root / "probe.db", read_only=True) as store:
        kept = a_quality("chart-test", store.benchmark("chart-test").fingerprint, store.study("main").proxy.weights_hash)
    keep_quality(root / "quality", kept)
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file() and file.suffix != ".db-shm"}
    app = open_page(root, "benchmarks", study="main")
    assert not app.exception
    frames = [element.value.set_index("benchmark") for element in app.dataframe]
    shown_columns = ("every probe right", "without image", "follows the letter", "kind")
    by_probes, by_proxy, without_looking, drawn = (next(frame for frame in frames if column in frame) for column in shown_columns)
    clearly = {name: value for frame in frames if "value" in frame and "kind" not in frame for name, value in frame["value"].items()}
    told = shown(app)
    assert {file: file.read_bytes() for file in root.rglob("*") if file.is_file() and file.suffix != ".db-shm"} == before
    monkeypatch.setattr("sys.argv", ["probe", "--workspace", str(root), "rank", "--study", "main", "--json"])
    main()
    quality = json.loads(capsys.readouterr().out)["benchmark_quality"]
    assert set(by_probes.index) == set(quality)
    for name, row in by_probes.iterrows():
        study = quality[name]["study"]
        assert row["probes"] == study["probes"]
        assert row["every probe right"].startswith(f"{study['all_right']['value']:.3f} [")
        assert row["every probe wrong"].startswith(f"{study['all_wrong']['value']:.3f} [")
        assert row["tells probes apart"].startswith(f"{study['informative']['value']:.3f} [")
        assert (name in clearly) == (study["signal_to_noise"] is not None)
        assert study["signal_to_noise"] is None or clearly[name] == pytest.approx(study["signal_to_noise"]["value"])
    assert dict(zip(drawn["kind"], drawn["value"], strict=True)) == {"with image": 0.55, "without image": 0.45, "guessing": 0.25}
    assert list(by_proxy.index) == ["chart-test"] == [name for name, found in quality.items() if found["proxy"]]
    assert by_proxy["without image"]["chart-test"] == "0.450 [0.400, 0.500]"
    assert by_proxy["kept without image"]["chart-test"] == "0.667 [0.500, 0.800]"
    assert without_looking["follows the letter"]["chart-test"] == "0.200 [0.100, 0.300]"
    assert "probe benchmarks check doc-test --proxy tiny" in told
    assert "probe benchmarks check chart-test" not in told


def a_quality(benchmark, fingerprint, weights_hash):
    need = ImageNeed(*(estimate(value, 0.05, 60) for value in (0.55, 0.45, 0.2, 0.1)), Estimate(0.667, 0.09, 0.5, 0.8, 60))
    half = estimate(0.5, 0.1, 60)
    letters = LetterPrior((Place(0, half, 0.25),), estimate(0.2, 0.1, 60), half, half, estimate(0.0, 0.1, 60))
    return ProxyQuality(
        benchmark, fingerprint, "tiny", weights_hash, 200, 60, 60, "accuracy", 0.25, need, estimate(0.3, 0.05, 60), 0.25, letters
    )


def test_overview_hands_over_the_decision(open_page, filled):
    app = open_page(filled, "overview", study="main")
    said = shown(app)
    assert "beat some baselines, not all" in said
    assert "+0.041 [+0.020, +0.062]" in said
    assert "probe export" in said
    assert "CC-BY-NC-4.0" in said
    gains = app.dataframe[1].value
    assert set(gains["kind"]) == {"confirmed", "predicted"}
    assert dict(zip(gains["against"], gains["held"], strict=False))["proportional"] == "no" or "no" in set(gains["held"])


def test_overview_names_the_terms_of_the_mixture_and_what_does_not_go_together(open_page, filled, tmp_path):
    root = tmp_path / "terms"
    shutil.copytree(filled, root)
    licences = {"docs/charts": Licence("CC-BY-SA-4.0"), "web/captions": Licence("CC-BY-NC-4.0", terms=MARKDOWN)}
    doc = example_manifest(({"docs/charts": 30, "web/captions": 10},))
    sources = tuple(replace(entry, licence=licences[entry.slug]) for entry in doc.sources)
    summary = summarise_licences((entry.slug, entry.licence) for entry in sources)
    keep(root, replace(doc, study=OLD.study, sources=sources, licences=summary), "2026-07-04T12:00:00Z")
    app = open_page(root, "overview", study="main")
    assert not app.exception
    texts = [element.value for element in app.text]
    assert "Not for commercial use: web/captions" in texts
    assert "docs/charts (CC-BY-SA-4.0) may not be restricted further, and web/captions (CC-BY-NC-4.0) would" in texts
    assert any(MARKDOWN in text for text in texts)
    assert not any(MARKDOWN in element.value for element in [*app.markdown, *app.caption])


def test_runs_shows_states_costs_errors_and_the_command(open_page, filled):
    app = open_page(filled, "runs", study="adding")
    states = list(app.dataframe[0].value["state"])
    assert (states.count("running"), states.count("failed"), states.count("waiting")) == (1, 1, 3)
    assert any(SCRIPT in block.value for block in app.code)
    assert "--retry-failed" in shown(app)
    assert "--design add-one" in shown(app)
    app.selectbox(key="choice-state").select("failed").run()
    assert set(app.dataframe[0].value["state"]) == {"failed"}


def test_hostile_text_is_text(open_page, filled):
    app = open_page(filled, "source", study="main", source=HOSTILE)
    assert not app.exception
    assert any(MARKDOWN in element.value for element in app.text)
    parsed = [*app.markdown, *app.caption, *app.title, *app.subheader, *app.info, *app.warning, *app.error]
    assert all("<script>" not in element.value and "javascript:" not in element.value for element in parsed)
    assert not any(getattr(element.proto, "allow_html", False) for element in app.markdown)


def test_samples_come_in_seeded_pages(open_page, filled):
    def rows(app):
        return [element.value for element in app.caption if element.value.startswith("Row ")]

    app = open_page(filled, "source", source="docs/charts")
    first = rows(app)
    assert len(first) == 6
    second = rows(app.number_input(key="number-page").set_value(2).run())
    assert not set(first) & set(second)
    assert app.query_params["page"] in ("2", ["2"])
    assert rows(open_page(filled, "source", source="docs/charts", page="2")) == second
    assert rows(open_page(filled, "source", source="docs/charts", page="no page")) == first
    app.selectbox(key="choice-source").select("web/captions").run()
    assert "page" not in app.query_params
    again = rows(open_page(filled, "source", source="docs/charts"))
    assert again == first


def test_a_source_at_several_sizes_leads_to_its_own_page(filled):
    with Store.open(filled / "probe.db", read_only=True) as store:
        study, arm = store.study("main"), next(arm for arm in store.arms("main") if arm.source)
    view = Snapshot(study, (replace(arm, name="small"), replace(arm, name="large")), None, (), (), ())
    blank = {"tier": None, "rank": "", "effect": "", "verdict": ""}
    table = ranking_table(pd.DataFrame([blank | {"source": name, "arm": name} for name in ("small", "large")]), [], view)
    assert "tier" not in table
    assert [parse_qs(urlsplit(link).query)["source"] for link in table["open"]] == [[arm.source]] * 2
    assert [urlsplit(link).fragment for link in table["open"]] == ["small", "large"]


def test_the_command_that_repeats_an_order_names_its_phases(filled):
    with Store.open(filled / "probe.db", read_only=True) as store:
        study, arm = store.study("main"), next(arm for arm in store.arms("main") if arm.source)
        progress = store.progress("main")
    phases = (Phase(Mixture.of({"easy": 3.0, "hard": 1.0}), 0.25), Phase(Mixture.of({"hard": 1.0}), 0.75))
    arms = [
        replace(arm, name=f"phases/staged@{size}", source="", design=Design.PHASES, curriculum=Curriculum(phases, size))
        for size in (240, 480)
    ]
    (line,) = repeat_commands(Snapshot(study, tuple(arms), None, (), (), ()), Asked({Design.PHASES: 5}, {}, arms), progress.failed > 0)
    assert "--phase easy=0.75,hard=0.25 --phase hard=1 --phase-share 0.25,0.75 --sizes 240,480" in line
    assert "--seeds 5" in line
    assert "--source" not in line


def test_a_link_opens_the_pairs_of_sources(open_page, filled):
    app = open_page(filled, "sources", study="main")
    assert not any("told apart" in element.value for element in app.dataframe)
    app.toggle(key="switch-pairs").set_value(True).run()
    assert app.query_params["pairs"] in ("yes", ["yes"])
    linked = open_page(filled, "sources", study="main", pairs="yes")
    assert any("told apart" in element.value for element in linked.dataframe)


def test_exclusions_are_counted_by_problem(open_page, filled):
    frames = [element.value for element in open_page(filled, "source", source="docs/charts").dataframe]
    counts = next(frame for frame in frames if "problem" in frame)
    assert dict(zip(counts["problem"], counts["rows"], strict=True)) == {"no answer": 3, "missing image": 1}


def test_commands_lead_to_the_workspace_that_is_shown(filled, open_page):
    code = [str(element.value) for element in open_page(filled, "overview", study="main").code]
    assert any(f"probe --workspace {filled} export" in line for line in code)


def test_a_mixture_that_is_a_baseline_is_not_said_to_beat_it():
    doc = example_manifest()
    shares = dict(doc.phases[0].weights)
    same = replace(doc, phases=doc.phases[:1], baselines={**doc.baselines, "best_single": shares}, confirmed=None)
    same = replace(same, phases=(replace(same.phases[0], share=1.0),))
    assert "the baseline best\\_single itself" in headline(same)
    assert not same.beats_all()
    other = replace(same, baselines={name: {"nothing": 1.0} for name in same.baselines})
    assert "not confirmed" in headline(other)


def test_the_source_page_shows_what_overlap_found(open_page, filled):
    with Store.open(filled / "probe.db", read_only=True) as store:
        prints = {record.spec.slug: record.fingerprint for record in store.sources()}
        bench = store.benchmark("doc-test").fingerprint
    own = ("docs/charts", prints["docs/charts"])
    share, none = Estimate(0.25, 0.05, 0.15, 0.36, 14), Estimate(0.0, 0.0, 0.0, 0.2, 14)
    found = [
        KeptOverlap(own[0], "web/noise", "source", own[1], prints["web/noise"], 14, none, none, none),
        KeptOverlap(own[0], "web/captions", "source", own[1], prints["web/captions"], 14, share, none, share, examples=(HOSTILE,)),
        KeptOverlap(own[0], "doc-test", "benchmark", own[1], bench, 14, left_out=2),
    ]
    keep_overlaps(filled / "overlaps", found)
    try:
        app = open_page(filled, "source", study="main", source="docs/charts")
        other = open_page(filled, "source", study="main", source="web/noise")
    finally:
        shutil.rmtree(filled / "overlaps")
    assert not app.exception
    (table,) = (element.value for element in app.dataframe if "by image" in element.value)
    assert list(table["with"]) == ["web/captions", "doc-test", "web/noise"]
    assert list(table["by image"]) == ["25.0% [15.0%, 36.0%]", "", "0.0% [0.0%, 20.0%]"]
    assert list(table["rows left out"]) == ["", "2", ""]
    assert HOSTILE in [element.value for element in app.text]
    assert not any("by image" in element.value for element in other.dataframe)
