"""A decision in our own words: what was found, how sure it is, and what to read before training."""

from __future__ import annotations

from probe.manifest import Manifest


def decision_words(doc: Manifest) -> tuple[str, str]:
    """Return the decision as the words to stress and what follows them."""
    if same := doc.same_as():
        names = " and ".join(same)
        return (
            "No better mixture was found.",
            f"The chosen one is the baseline {names} itself, so nothing was confirmed against it.",
        )
    if doc.confirmed is None:
        return "This mixture is predicted to be the best.", "It is not confirmed yet, so it is no claim."
    held = [gain.held for gain in doc.confirmed.values()]
    if doc.beats_all():
        return "Train on this mixture.", "It beat every baseline on items that the search never saw, with fresh seeds."
    if any(held):
        return "This mixture beat some baselines, not all,", "on items that the search never saw, with fresh seeds."
    return "No gain was confirmed.", "On items that the search never saw, this mixture cannot be told from its baselines."


def baseline_words(name: str) -> str:
    """Return a baseline's name as people read it."""
    return name.replace("_", " ")


def flag_lines(doc: Manifest) -> list[str]:
    """Return what to look at before training, one line a licence and reason, with the sources that it holds for."""
    found: dict[tuple[str, str], list[str]] = {}
    for flag in doc.licences.flagged:
        found.setdefault((flag.licence, flag.reason), []).append(flag.source)
    return [f"{licence}: {reason} ({', '.join(sources)})" for (licence, reason), sources in found.items()]


def signed(value: float) -> str:
    """Return an effect with its sign and two decimals; what rounds to zero has no sign."""
    text = f"{value:+.2f}"
    return "0.00" if text[1:] == "0.00" else text
