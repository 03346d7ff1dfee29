"""A decision in one sentence of our own words: what was found, and how sure it is."""

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
