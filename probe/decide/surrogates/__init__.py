"""Surrogates of the response surface: from the weights of trained mixtures to a mean and a deviation anywhere on the simplex."""

from probe.decide.surrogates.base import Surrogate
from probe.decide.surrogates.choice import Choice, fit_objective
from probe.decide.surrogates.kernel_surrogates import GaussianProcess, Ridge
from probe.decide.surrogates.merged import MERGED, MergedProcess, MergedScores
from probe.decide.surrogates.mixing_law import MixingLaw
from probe.decide.surrogates.objective import Objective
from probe.decide.surrogates.stacked import Stacked
from probe.decide.surrogates.trees import Trees

__all__ = [
    "MERGED",
    "Choice",
    "GaussianProcess",
    "MergedProcess",
    "MergedScores",
    "MixingLaw",
    "Objective",
    "Ridge",
    "Stacked",
    "Surrogate",
    "Trees",
    "fit_objective",
]
