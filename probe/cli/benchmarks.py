"""`probe benchmarks`: list, show, check, add and remove benchmarks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from probe.cli.output import counting, listing_options, print_fields, print_json, print_listing, say
from probe.errors import ProbeError, UsageError
from probe.workspace import Workspace
from sources.counted import counted

if TYPE_CHECKING:
    from db.values import BenchmarkRecord
    from probe.study.scoring_choice import ScoringChoice
    from sources.benchmark import BenchmarkSpec, Item

COLUMNS = ("name", "kind", "capability", "format", "scoring", "items", "images", "chance")
KIT_COLUMNS = ("name", "capability", "rule", "offline", "licence")
MOST_ANSWERS = 12


@click.group()
def command() -> None:
    """List, show, check, add and remove benchmarks."""


@command.command("list")
@click.option("--vlmeval", is_flag=True, help="List what VLMEvalKit has that can be added; what is not offline needs a judge.")
@listing_options
@click.pass_obj
def list_(workspace: Workspace, form: str, vlmeval: bool) -> None:
    """List registered benchmarks, then the built-in ones."""
    if vlmeval:
        from probe.vlmeval.adding import kit_rows

        print_listing(kit_rows(), form, empty="", columns=KIT_COLUMNS if form == "table" else None)
        return
    names = COLUMNS if form == "table" else None
    empty = "No benchmark is registered: probe benchmarks add NAME --path FILE.tsv."
    print_listing(benchmark_rows(workspace), form, empty=empty, columns=names)


@command.command()
@click.argument("name")
@listing_options
@click.pass_obj
def show(workspace: Workspace, name: str, form: str) -> None:
    """Show what is known of one benchmark, without reading its items."""
    from probe.study.registry import find_benchmark

    with workspace.look() as store:
        print_fields(_row(find_benchmark(store, name), store.benchmark(name)), form)


@command.command()
@click.argument("name")
@click.option("--proxy", default=None, metavar="P", help="Score it on this proxy with its images, without them, and choices rotated.")
@click.option("--study", default=None, metavar="S", help="Tell what this study's probes show: informative items, signal to noise.")
@click.option("--items", type=click.IntRange(min=2), default=200, show_default=True, help="Most items to score, whole images, seeded.")
@click.option("--generate", is_flag=True, help="With --proxy: write answers too, with and without the image, and count right ones.")
@click.option("--max-new-tokens", type=click.IntRange(1, 4096), default=16, show_default=True, help="Of a written answer.")
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...; found by itself.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(
    workspace: Workspace,
    name: str,
    proxy: str | None,
    study: str | None,
    items: int,
    generate: bool,
    max_new_tokens: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Read a benchmark in full: items usable and excluded, choices, balance of answers, images, duplicates, splits.

    With --proxy or --study also how good it is; docs/benchmarks.md says what the numbers mean.
    """
    from probe.cli import benchmark_quality as quality

    if generate and not proxy:
        raise click.UsageError("--generate needs --proxy: a model that writes.")
    asked = quality.QualityRequest(proxy, study, items, max_new_tokens if generate else 0, device)
    found = check_benchmark(workspace, name)
    of_proxy = quality.proxy_quality(workspace, name, asked) if proxy else None
    of_study = quality.shown_by_study(workspace, name, study) if study else None
    if as_json:
        parts = {"proxy": quality.proxy_json(of_proxy) if of_proxy else None, "study": quality.study_json(of_study) if of_study else None}
        print_json(found | {"quality": parts} if proxy or study else found)
        return
    say("\n".join(_check_lines(found)))
    if of_proxy:
        say("\n".join(quality.proxy_lines(of_proxy)))
    if of_study and study:
        say("\n".join(quality.study_lines(study, of_study)))


@command.command()
@click.argument("name", default="")
@click.option("--path", type=click.Path(path_type=Path), default=None, help="A TSV in VLMEvalKit's layout.")
@click.option(
    "--vlmeval", default="", metavar="B", help="A benchmark of VLMEvalKit, fetched; with --path, the one by whose rule yours is scored."
)
@click.option("--limit", type=click.IntRange(1), default=None, help="With --vlmeval: about so many items, of images drawn at random.")
@click.option("--images", type=click.Path(path_type=Path), default=None, help="Folder that image_path starts from.  [default: the file's]")
@click.option("--capability", default="", help="What it measures: ocr, charts, recognition, ...  [default: general, or VLMEvalKit's]")
@click.option(
    "--choices",
    type=click.Choice(["letter", "text"]),
    default=None,
    help="What is scored of a choice.  [default: text; letter where answers to such questions are generated]",
)
@click.option(
    "--scoring",
    type=click.Choice(["likelihood", "generate"]),
    default=None,
    help="By the right answer's likelihood, or by what the model writes.  [default: likelihood, unless a rule or scorer is given, "
    "or the answers are lists]",
)
@click.option(
    "--rule", default="", metavar="NAME", help="How generated answers are judged; see docs/benchmarks.md.  [default: from the data]"
)
@click.option("--scorer", default="", metavar="MODULE:FUNCTION", help="Judge generated answers by your own Python function.")
@click.option("--scorer-command", default="", metavar="COMMAND", help="Judge them by your own program: JSON lines in, JSON lines out.")
@click.option(
    "--scorer-timeout", type=click.FloatRange(min=0.1), default=600.0, show_default=True, help="Seconds for all items of a model."
)
@click.option("--instruction", default=None, help="What a question ends with whose answer is generated.  [default: the rule's]")
@click.option("--answer-tokens", type=click.IntRange(1, 4096), default=None, help="Most tokens of a generated answer.  [default: 32]")
@click.pass_obj
def add(
    workspace: Workspace,
    /,
    name: str,
    path: Path | None,
    images: Path | None,
    capability: str,
    vlmeval: str,
    limit: int | None,
    **options: Any,
) -> None:
    """Register a benchmark from a TSV, or one of VLMEvalKit; its items are split once, by image, into selection and confirmation."""
    from probe.study.registering import check_name

    name = name or vlmeval
    check_name(name)
    chosen = _scoring_choice(**options)
    if vlmeval:
        from probe.vlmeval.adding import with_kit_rule

        chosen = with_kit_rule(chosen, vlmeval)
    chosen.check()
    spec = _new_spec(workspace, name, path, images, vlmeval, limit)
    say("\n".join(add_benchmark(workspace, replace(spec, capability=capability or spec.capability), chosen)))


def _new_spec(workspace: Workspace, name: str, path: Path | None, images: Path | None, vlmeval: str, limit: int | None) -> BenchmarkSpec:
    from probe.study.registering import absolute, image_folder
    from sources.benchmark import BenchmarkSpec

    if limit and (path or not vlmeval):
        raise UsageError("--limit draws from a benchmark of VLMEvalKit: give --vlmeval, and no --path.")
    if path is None and not vlmeval:
        raise UsageError("say where the TSV lies (--path FILE), or which benchmark of VLMEvalKit it is (--vlmeval NAME).")
    if not vlmeval:
        return BenchmarkSpec(name, "general", "tsv", absolute(path or Path()), image_folder(images))
    from probe.vlmeval.adding import own_table, published_table
    from probe.vlmeval.known import find_known
    from probe.vlmeval.worker import worker

    if path is not None:
        return own_table(name, vlmeval, absolute(path), image_folder(images))
    find_known(vlmeval)
    with worker(workspace.logs / "vlmeval-fetch.log") as process, counting(f"fetching {vlmeval}") as show:
        return published_table(process, workspace, name, vlmeval, limit or 0, lambda _, done, of: show(done, of))


def _scoring_choice(
    choices: str | None,
    scoring: str | None,
    rule: str,
    scorer: str,
    scorer_command: str,
    scorer_timeout: float,
    instruction: str | None,
    answer_tokens: int | None,
) -> ScoringChoice:
    from probe.study.scoring_choice import ScoringChoice
    from sources.benchmark import InHouseScorer, PromptForm, Scoring

    return ScoringChoice(
        PromptForm(choices) if choices else None,
        Scoring(scoring) if scoring else None,
        rule,
        InHouseScorer(scorer, scorer_command, os.getcwd(), scorer_timeout) if scorer or scorer_command else None,
        instruction,
        answer_tokens,
    )


@command.command()
@click.argument("name")
@click.option("--study", default=None, metavar="S", help="Only take it out of this study; it stays registered, and its scores stay.")
@click.pass_obj
def remove(workspace: Workspace, name: str, study: str | None) -> None:
    """Forget a benchmark; its file stays where it is. Refused while a study uses it."""
    with workspace.open_store() as store:
        if study is None:
            store.remove_benchmark(name)
        else:
            store.remove_study_benchmark(study, name)
    say(f"{name} is forgotten; its file was not touched." if study is None else f"Study {study} no longer reads {name}.")


def benchmark_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """Return every known benchmark as a row."""
    from probe.study.registry import builtin_benchmarks

    records: tuple[BenchmarkRecord, ...] = ()
    if workspace.exists():
        with workspace.open_store() as store:
            records = store.benchmarks()
    known = {record.spec.name for record in records}
    built_in = [_row(spec, None) for name, spec in builtin_benchmarks().items() if name not in known]
    return [*(_row(record.spec, record) for record in records), *built_in]


def _row(spec: BenchmarkSpec, record: BenchmarkRecord | None) -> dict[str, Any]:
    confirmation = int(record.splits.sum()) if record else 0
    return {
        "name": spec.name,
        "kind": "registered" if record else "built-in",
        "capability": spec.capability,
        "format": spec.format,
        "items": record.n_items if record else None,
        "images": len(set(record.groups.tolist())) if record else None,
        "chance": record.chance if record else None,
        "selection": record.n_items - confirmation if record else None,
        "confirmation": confirmation if record else None,
        "choices": spec.prompt_form.value,
        "scoring": spec.scoring.value,
        "rule": spec.rule,
        "scorer": (spec.scorer.entry_point or spec.scorer.command) if spec.scorer else "",
        "path": spec.path,
        "fingerprint": record.fingerprint if record else None,
        **_kit_facts(spec),
    }


def _kit_facts(spec: BenchmarkSpec) -> dict[str, str]:
    """Return what is known of a benchmark that VLMEvalKit scores: its name there, and of the published one the licence and page."""
    name = spec.option("vlmeval")
    if not name:
        return {"vlmeval": "", "licence": "", "homepage": ""}
    from probe.vlmeval.known import known_benchmarks

    known = None if spec.option("own") else known_benchmarks().get(name)
    return {"vlmeval": name, "licence": known.licence if known else "", "homepage": known.homepage if known else ""}


def add_benchmark(workspace: Workspace, spec: BenchmarkSpec, chosen: ScoringChoice) -> list[str]:
    """Register a benchmark and return what to tell: what was found, and how studies get it scored.

    Raises:
        SourceError: its file, its rule or its scorer cannot be used.
        ProbeError: the name is a built-in benchmark's.
    """
    from probe.study.registry import builtin_benchmarks, register_benchmark
    from probe.study.scoring_choice import completed_spec, notes_on, scoring_words
    from sources.benchmark_data import read_benchmark

    if spec.name in builtin_benchmarks():
        raise ProbeError(f"{spec.name!r} is built in: give your own benchmark another name.")
    chosen.check()
    if spec.path and not Path(spec.path).exists():
        raise ProbeError(f"{spec.path} cannot be read (there is no such file): give the TSV file with --path.")
    data = read_benchmark(spec)
    spec = completed_spec(spec, data.items, chosen)
    with workspace.open_store() as store:
        row = _row(spec, register_benchmark(store, spec))
        studies = [study.name for study in store.studies()]
    on = "images" if any(item.images for item in data.items) else "texts"
    lines = [
        f"{spec.name}: {counted(row['items'], 'item')} on {row['images']:,} {on}, chance {row['chance']:.3f}, capability {spec.capability}"
    ]
    lines += [f"  excluded {n:,} {problem.value}" for problem, n in data.excluded.most_common()]
    lines.append(f"scored by {scoring_words(spec)}")
    lines += [f"  {note}" for note in notes_on(spec, data.items)]
    lines.append(f"split by image: {counted(row['selection'], 'item')} for selection, {row['confirmation']:,} for confirmation")
    lines += [f"Score study {name} on it, training nothing: probe run --study {name} --benchmark {spec.name}" for name in studies]
    return lines if studies else [*lines, f"Next: probe benchmarks check {spec.name}, then probe run --source S --benchmark {spec.name}"]


def check_benchmark(workspace: Workspace, name: str) -> dict[str, Any]:
    """Return what a check finds, as the object that `--json` prints.

    Raises:
        ProbeError: nobody knows the benchmark.
        SourceError: it cannot be used.
    """
    from probe.study.items import split_items
    from probe.study.registry import find_benchmark
    from probe.study.scoring_choice import scoring_words
    from sources.benchmark import same_items
    from sources.benchmark_data import read_benchmark

    with workspace.look() as store:
        spec, record = find_benchmark(store, name), store.benchmark(name)
    held = None if record is None else record.fingerprint
    data = read_benchmark(spec)
    groups, splits = split_items(data.items)
    return {
        "name": name,
        "capability": spec.capability,
        "items": len(data.items),
        "excluded": {problem.value: n for problem, n in data.excluded.most_common()},
        "examples": [{"problem": problem.value, "item": number, "detail": detail} for problem, number, detail in data.examples],
        "images": len(set(groups.tolist())),
        "undecodable": _undecodable(data.items),
        "choices": {str(count): n for count, n in sorted(Counter(len(item.choices) for item in data.items).items())},
        "answers": dict(Counter(item.answer for item in data.items).most_common(MOST_ANSWERS)),
        "places": _places(data.items),
        "duplicates": _duplicates(data.items),
        "selection": int((splits == 0).sum()),
        "confirmation": int((splits == 1).sum()),
        "fingerprint": data.fingerprint,
        "scored_by": scoring_words(spec),
        "text_only": sum(not item.images for item in data.items),
        "changed": held is not None and not same_items(held, data.fingerprint),
        "scorer_changed": held not in (None, data.fingerprint) and same_items(held or "", data.fingerprint),
    }


def _undecodable(items: Sequence[Item]) -> dict[str, int]:
    from sources.images import check_image
    from sources.problems import RowError

    found: Counter[str] = Counter()
    images = {ref.identity(): ref for item in items for ref in item.images}
    with counting("decoding images") as progress:
        for done, ref in enumerate(images.values()):
            try:
                check_image(ref, decode=True)
            except RowError as error:
                found[error.problem.value] += 1
            progress(done, len(images))
    return dict(found)


def _places(items: Sequence[Item]) -> dict[str, int]:
    """Count at which place the right choice stands: A, B, ..."""
    letters = Counter(chr(ord("A") + item.choices.index(item.answer)) for item in items if item.choices)
    return dict(sorted(letters.items()))


def _duplicates(items: Sequence[Item]) -> int:
    asked = {(item.question, item.choices, item.answer, tuple(ref.identity() for ref in item.images)) for item in items}
    return len(items) - len(asked)


def _check_lines(found: dict[str, Any]) -> Iterator[str]:
    on = "texts" if found["text_only"] == found["items"] else "images"
    yield f"{found['name']}: {counted(found['items'], 'item')} usable on {found['images']:,} {on}, capability {found['capability']}"
    for problem, n in found["excluded"].items():
        yield f"  excluded {n:,} {problem}"
        for example in (one for one in found["examples"] if one["problem"] == problem):
            yield f"    item {example['item']}: {example['detail'] or problem}"
    for problem, n in found["undecodable"].items():
        yield f"  {counted(n, 'image is', 'images are')} {problem}: what is asked of them will not be scored"
    yield "choices: " + ", ".join(
        f"{counted(n, 'item')} with {count if count != '0' else 'free text'}" for count, n in found["choices"].items()
    )
    yield "answers: " + ", ".join(f"{answer!r} {n / found['items']:.0%}" for answer, n in found["answers"].items())
    if found["places"]:
        total = sum(found["places"].values())
        yield "right choice at: " + ", ".join(f"{letter} {n / total:.0%}" for letter, n in found["places"].items())
    yield f"scored by {found['scored_by']}"
    if found["text_only"]:
        yield f"text-only: {counted(found['text_only'], 'item has', 'items have')} no image"
    yield f"duplicates: {counted(found['duplicates'], 'item')}"
    yield f"split by image: {counted(found['selection'], 'item')} for selection, {found['confirmation']:,} for confirmation"
    if found["changed"]:
        yield "warning: its file changed since it was registered; add it under another name"
    if found["scorer_changed"]:
        yield "its scorer changed since it was registered: the next probe run of a study scores its saved adapters again"
