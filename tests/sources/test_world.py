"""The generated world is deterministic, true, and read like any other source."""

import random
from collections import Counter

import pytest

from sources.problems import SourceError
from sources.reader import Reader
from sources.sample import Role
from sources.spec import SourceSpec
from sources.world import (
    CaptionLength,
    Skill,
    WorldReader,
    WorldRows,
    make_row,
    make_scene,
    parse_options,
    world_benchmark_specs,
    world_items,
    world_source_specs,
)
from sources.world.captions import caption
from sources.world.drawing import scene_array, scene_png
from sources.world.questions import ask
from sources.world.scene import COLOURS, NUMBERS, SHAPES, Scene, SceneKind
from sources.world.streams import HELD_OUT, TRAINING, generator


def opened(**options: str) -> WorldRows:
    return WorldReader().open(SourceSpec("world/x", "world", options=tuple(sorted(options.items()))))


def content(rows: WorldRows) -> list[tuple[str, str]]:
    return [(row.sample.images[0].identity(), row.sample.text_digest()) for row in rows if row.sample]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (opened(skill="all", rows="30", seed=seed) for seed in ("1", "1", "2"))
    assert content(first) == content(again)
    assert not set(content(first)) & set(content(other))


def test_a_row_needs_no_walk_and_does_not_depend_on_how_many_there_are() -> None:
    few, many = opened(skill="all", rows="20"), opened(skill="all", rows="2000")
    assert few.get(17) == many.get(17) == list(few)[17]
    assert len(many) == 2000
    with pytest.raises(IndexError):
        few.get(20)


@pytest.mark.parametrize("spec", world_source_specs(), ids=lambda spec: spec.slug)
def test_every_built_in_source_opens_and_reads(spec: SourceSpec) -> None:
    reader: Reader = WorldReader()
    rows = reader.open(spec)
    sample = rows.get(3).sample
    assert sample is not None
    assert [turn.role for turn in sample.turns] == [Role.USER, Role.ASSISTANT]
    assert sample.turns[0].image_places == (0,)
    assert all(turn.text for turn in sample.turns)


def test_several_questions_share_one_image_and_only_the_first_turn_holds_it() -> None:
    sample = opened(skill="presence", per_image="3").get(0).sample
    assert sample is not None
    assert [turn.image_places for turn in sample.turns] == [(0,), (), (), (), (), ()]
    assert len({turn.text for turn in sample.turns if turn.role is Role.USER}) == 3


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"skill": "taste"}, "colour, shape"),
        ({"captions": "long"}, "short, descriptive, dense"),
        ({"rows": "0"}, "whole number from 1"),
        ({"rows": "many"}, "whole number"),
        ({"label_noise": "1.5"}, "from 0 to 1"),
        ({"label_noise": "nan"}, "from 0 to 1"),
        ({"colour": "red"}, "no option 'colour'; it has captions"),
    ],
)
def test_a_bad_option_is_one_sentence_that_names_what_is_allowed(options: dict[str, str], hint: str) -> None:
    with pytest.raises(SourceError, match=hint):
        opened(**options)


def scenes(kind: SceneKind, count: int = 150) -> list[Scene]:
    return [make_scene(random.Random(f"{kind}{number}"), kind) for number in range(count)]


def test_things_are_apart_inside_the_canvas_and_painted_near_their_colour() -> None:
    for scene in scenes(SceneKind.THINGS):
        assert 1 <= len(scene.things) <= 4
        for thing in scene.things:
            assert thing.radius <= thing.x < 64 - thing.radius
            assert max(abs(a - b) for a, b in zip(thing.tint, COLOURS[thing.colour], strict=True)) <= 22


def test_a_single_shape_is_seen_in_its_colour() -> None:
    for scene in scenes(SceneKind.THINGS):
        (thing, *others) = scene.things
        if not others and thing.shape not in ("ring",):
            assert tuple(scene_array(scene)[thing.y, thing.x]) == thing.tint


def test_presence_questions_are_true_and_balanced() -> None:
    answers = Counter()
    for number, scene in enumerate(scenes(SceneKind.THINGS, 400)):
        question = ask(random.Random(number), scene, Skill.PRESENCE)
        assert question is not None
        words = question.text.rstrip("?").split()
        colours, shapes = [word for word in words if word in COLOURS], [word for word in words if word in SHAPES]
        there = any((not colours or thing.colour in colours) and (not shapes or thing.shape in shapes) for thing in scene.things)
        negated = bool({"no", "not", "missing"} & set(words))
        assert question.answer == ("yes" if there != negated else "no"), question
        answers[question.answer, negated] += 1
    assert min(answers.values()) > 60


def test_answers_about_one_thing_follow_from_the_scene() -> None:
    for number, scene in enumerate(scenes(SceneKind.THINGS)):
        for skill in (Skill.COLOUR, Skill.SHAPE, Skill.SIZE):
            question = ask(random.Random(number), scene, skill)
            if question:
                words = set(question.text.replace("?", "").replace(".", "").split())
                fitting = [t for t in scene.things if words & {t.colour, t.shape, *((t.size,) if skill is not Skill.SIZE else ())}]
                assert question.answer in {getattr(thing, skill.value) for thing in fitting or scene.things}
                assert question.answer in question.choices


def test_counts_and_relations_follow_from_the_scene() -> None:
    for number, scene in enumerate(scenes(SceneKind.THINGS)):
        count = ask(random.Random(number), scene, Skill.COUNT)
        assert count is not None
        named = [t for t in scene.things if t.colour in count.text.split() or any(word.startswith(t.shape) for word in count.text.split())]
        general = not any(colour in count.text for colour in COLOURS) and not any(shape in count.text for shape in SHAPES)
        assert count.answer == NUMBERS[len(scene.things) if general else len(named)]
        where = ask(random.Random(number), scene, Skill.RELATION)
        if where and where.text.startswith("where"):
            first, second = where.text.removeprefix("where is the ").rstrip("?").split(", seen from the ")
            a, b = (next(t for t in scene.things if f"{t.colour} {t.shape}" == name) for name in (first, second))
            truth = {"left": b.x - a.x, "right": a.x - b.x, "above": b.y - a.y, "below": a.y - b.y}
            assert where.answer == max(truth, key=lambda side: truth[side])


def test_words_and_charts_are_read_from_the_scene() -> None:
    for number, (written, chart) in enumerate(zip(scenes(SceneKind.WORD), scenes(SceneKind.CHART), strict=True)):
        read, height = ask(random.Random(number), written, Skill.WORD), ask(random.Random(number), chart, Skill.CHART)
        assert read is not None
        assert height is not None
        assert written.word is not None
        assert read.answer == written.word.text
        assert read.answer in read.choices
        if "tallest" in height.text or "shortest" in height.text:
            extreme = (max if "tallest" in height.text else min)(bar.height for bar in chart.bars)
            assert next(bar for bar in chart.bars if bar.colour == height.answer).height == extreme
        else:
            (bar,) = (bar for bar in chart.bars if bar.colour in height.text.replace("?", "").replace(".", "").split())
            assert height.answer == NUMBERS[bar.height]


def test_a_longer_caption_says_more_and_names_everything() -> None:
    for number, scene in enumerate(scenes(SceneKind.THINGS, 60)):
        texts = [caption(random.Random(number), scene, length) for length in CaptionLength]
        assert len(texts[0]) < len(texts[1]) < len(texts[2])
        assert all(thing.shape in text and thing.colour in text for text in texts for thing in scene.things)


def test_benchmarks_have_a_capability_choices_and_scenes_of_their_own() -> None:
    for spec in world_benchmark_specs():
        items = world_items(spec)[:40]
        assert all(item.answer in item.choices and len(item.choices) > 1 for item in items)
        assert len({item.id for item in items}) == len(items)
        source = opened(skill=spec.option("skill"), rows="40")
        assert not {item.image_group() for item in items} & {identity for identity, _ in content(source)}
    assert {spec.capability for spec in world_benchmark_specs()} == {"recognition", "counting-and-space", "hallucination", "ocr", "charts"}


def test_spaces_never_meet() -> None:
    seen = [{scene_png(make_scene(generator(space, 0, number, "colour"))) for number in range(200)} for space in (TRAINING, HELD_OUT)]
    assert not seen[0] & seen[1]


def test_a_benchmark_of_captions_is_refused() -> None:
    spec = world_benchmark_specs()[0]
    with pytest.raises(SourceError, match="cannot have captions"):
        world_items(type(spec)("x", "recognition", "world", options=(("captions", "short"),)))


def test_a_mix_of_topics_is_balanced() -> None:
    options = parse_options((("captions", "dense"), ("skill", "colour,shape")))
    counted = Counter(make_row(options, number).topic.value for number in range(300))
    assert set(counted) == {"colour", "shape", "dense"}
    assert min(counted.values()) > 70
