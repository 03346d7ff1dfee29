"""Questions of every kind and answers that are hard to read: for golden scores, and for the comparison with VLMEvalKit."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sources.answer_rules.judging import judged
from sources.answer_rules.registry import RULES
from sources.benchmark import Item

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FORMULAS = "Handwritten Mathematical Expression Recognition"
KINDS = ("multiple-choice", "circular", "yes-no", "vqa", "anls", "relaxed", "ocrbench", "exact-match")

ITEMS: dict[str, list[Item]] = {
    "multiple-choice": [
        Item("1", (), "What is it?", ("a red ball", "A dog", "the answer", "a"), "A dog"),
        Item("2", (), "How many?", ("1.5%", "15", "3 cats", "none of them"), "15"),
        Item("3", (), "Welches?", ("Straße", "ÉCOLE", "İstanbul"), "ÉCOLE"),
        Item("4", (), "Which?", tuple(f"choice {n}" for n in range(25)), "choice 24"),
        Item("5", (), "Yes?", ("Yes", "No"), "No"),
    ],
    "yes-no": [Item("1", (), "Is it?", ("Yes", "No"), "Yes"), Item("2", (), "Is it?", ("Yes", "No"), "No")],
    "vqa": [
        Item("1", (), "?", (), "two", answers=("two", "2", "Two.", "two dogs", "the 2", "3", "dont", "don't", "a red-ball", "1,000")),
        Item("2", (), "?", (), "yes", answers=("yes",) * 9 + ("no",)),
        Item("3", (), "?", (), "l'été", answers=("l'été", "ete", "summer", "what's up", "whats up")),
        Item("4", (), "?", (), "x", answers=("x",)),
        Item("5", (), "?", (), "y'all'd've", answers=("y'alld've", "yall'd've", "ow's'at", "somebody'd", "somebodyd", "y'all'd've")),
    ],
    "anls": [
        Item("1", (), "?", (), "12 May 1999", answers=("12 May 1999", "May 12, 1999")),
        Item("2", (), "?", (), "Straße", answers=("Straße", "İ")),
        Item("3", (), "?", (), "$ 1,000", answers=("$ 1,000",)),
        Item("4", (), "?", (), "a", answers=("  a   b ",)),
    ],
    "relaxed": [
        Item("1", (), "?", (), "12.5", answers=("12.5",)),
        Item("2", (), "?", (), "12.5%", answers=("12.5%",)),
        Item("3", (), "?", (), "0", answers=("0",)),
        Item("4", (), "?", (), "Blue", answers=("Blue", "navy blue")),
        Item("5", (), "?", (), "nan", answers=("nan", "-40")),
        Item("6", (), "?", (), "inf", answers=("inf",)),
    ],
    "ocrbench": [
        Item("1", (), "?", (), "CENTRE", "Regular Text Recognition", ("CENTRE",)),
        Item("2", (), "?", (), "\\frac{a}{B} + 1", FORMULAS, ("\\frac{a}{B} + 1", "x ^ 2")),
        Item("3", (), "?", (), "12:30", "Scene Text-centric VQA", ("12:30", "half past\ntwelve ")),
    ],
    "exact-match": [
        Item("1", (), "?", (), "Red", answers=("Red", " dark red ")),
        Item("2", (), "?", (), "ẞ", answers=("ẞ",)),
        Item("3", (), "?", (), "12", answers=("12",)),
    ],
}
_MCQ = ITEMS["multiple-choice"]

# fmt: off
HARD = (
    "", " ", "\n\t", ".", "A", "B", "a", "b.", "A.", "(B)", "B)", "[C]", "**B**", "B:", "Z", "Z.", "The answer is C because",
    "The answer is (B).", "A dog", "a DOG.", "It is a dog", "a dog or a red ball", "the answer", "A and B", "A, B, C, D", "Both",
    "I think it is B", "B is what I see in here", "A is what I think about B",
    "A quite long sentence that says nothing at all about what is asked, twice over, and then some more of it",
    "Sorry, I can't help with images of people yet.", "I'm sorry, but without the image provided I would say B",
    "Cannot determine the answer", "Failed to obtain answer via API: A", "yes", "Yes.", "YES!", "no", "No, it is not", "yes and no",
    "yes/no", "not", "yesterday", "nope", "Yes,no", "no-one", "yes; the 1,000 dogs", "y e s", "two", "2", "Two", "the two", "2.",
    "a 2", "dont", "don't", "Don’t", "1,000", "1000", "red-ball", "red - ball", "a red ball", "l'été", "l’été", "ÉTÉ", "ete",
    "whats up", "what's up?", "y'all'd've", "somebody'd", "ow'sat", "none", "ten", "12 May 1999", "12 MAY  1999", "May 12 1999",
    "May 12, 1998", "13 June 2001", "STRASSE", "straße", "i̇", "$1,000", "$ 1,000", " a b", "12.5", "12.5%", "12,5", "12.5 %",
    "12.5 km", "0.125", "13.125", "13.126", "11.875", "-12.5", "+12.5", "1.25e1", "1_2.5", "１２.５", "0", "0.0", "-0", "0%", "nan",
    "inf", "-inf", "infinity", "-40", "-41.9", "Blue", "blue ", "navy blue", "dark navy blue", "%", "5%%", "['12.5']", '["a", "b"]',
    "[1, 2]", "CENTRE", "city centre st.", "CEN\nTRE", "\\frac{a}{B}+1", "\\frac {a} {b} + 1", "x^2", "x ^ 2 = y", "half past twelve",
    "at 12:30 sharp", "12:30", "Red", " red\n", "dark  red", "dark red", "ß", "SS", "12", "twelve", "\"Red\"", "'12'", "“Red”", "1.5%",
    "15", "3 cats", "none of them", "choice 24", "choice 2", "Straße", "école", "ÉCOLE", "istanbul", "İSTANBUL", "\u200bA", "Ａ", "А",
    "🙂 B", "B\u00a0", "a.b.c" * 40, ", ".join("1" * 9), "{B}", "#B", "B?",
)
# fmt: on

_SCRAPS = st.sampled_from(
    [*HARD, *"ABCDZ", "(", ")", ". ", ", ", " ", "%", "'", '"', "answer", "is", "the", "an", "5", "1,2", "km", "[", "]"]
)
hard_answers = st.one_of(
    st.sampled_from(HARD), st.lists(_SCRAPS, max_size=8).map("".join), st.lists(_SCRAPS, max_size=8).map(" ".join), st.text()
)


def rotated(item: Item) -> list[Item]:
    """Return an item and its rotations as MMBench numbers them."""
    choices = [item.choices[k:] + item.choices[:k] for k in range(len(item.choices))]
    return [Item(str(int(item.id) + k * 1_000_000), (), item.question, turned, item.answer) for k, turned in enumerate(choices)]


def questions(kind: str) -> list[list[Item]]:
    """Return the questions of a kind, each as the items that count as one."""
    if kind == "circular":
        return [rotated(item) for item in _MCQ if len(item.choices) < 5]
    return [[item] for item in ITEMS[kind]]


def right_answer(kind: str, item: Item) -> str:
    """Return an answer that a person would call right."""
    return LETTERS[item.choices.index(item.answer)] if kind in ("multiple-choice", "circular") else item.accepted()[0]


def own_score(kind: str, items: list[Item], predictions: list[str]) -> float:
    """Return our score of one question."""
    return float(judged(RULES[kind], items, dict(enumerate(predictions)))[0][0])


def row(kind: str, item: Item, prediction: str) -> dict[str, Any]:
    """Return an item and its answer as VLMEvalKit has them in a line of its table."""
    line: dict[str, Any] = {"index": int(item.id), "question": item.question, "category": item.category or "any", "prediction": prediction}
    if kind in ("multiple-choice", "circular"):
        return line | dict(zip(LETTERS, item.choices, strict=False)) | {"answer": right_answer(kind, item)}
    return line | {"answer": item.answer if kind == "yes-no" else repr(list(item.accepted()))}
