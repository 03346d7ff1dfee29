"""Classes of problem that exclude a row, and the exceptions that carry them."""

from __future__ import annotations

import enum


class Problem(enum.StrEnum):
    """Why a row is not used. A row with a problem is excluded and counted, never replaced."""

    MALFORMED = "malformed"  # not JSON, not an object, a field of the wrong type
    UNSPLIT = "unsplit"  # the rest of a broken or truncated JSON array: any number of rows, none of which could be found
    BAD_ENCODING = "bad_encoding"  # bytes that are not UTF-8
    NO_ANSWER = "no_answer"  # no assistant turn, or only empty ones
    ROLE_ORDER = "role_order"  # turns do not alternate, or the assistant speaks first
    PLACEHOLDER_MISMATCH = "placeholder_mismatch"  # as many places for images as images, or none
    MISSING_IMAGE = "missing_image"
    EMPTY_IMAGE = "empty_image"
    UNDECODABLE_IMAGE = "undecodable_image"
    IMAGE_TOO_LARGE = "image_too_large"  # pixels, file size, or decompressed size over the policy's bound
    UNSAFE_PATH = "unsafe_path"  # absolute and outside the image root, `..`, or a link out of it
    REMOTE_IMAGE = "remote_image"  # a URL where a path should be: nothing is downloaded
    UNSUPPORTED_MODALITY = "unsupported_modality"  # video, audio, PDF, boxes that are written as each model writes them
    UNSUPPORTED_LOSS = "unsupported_loss"  # an answer that counts neither fully nor not at all
    CONTAMINATED = "contaminated"  # holds an item of a benchmark that the study is scored on
    LOW_RATING = "low_rating"  # every turn is rated below the source's option `min_rating`
    TOO_LONG = "too_long"  # more tokens than the proxy's context


class SourceError(Exception):
    """A source or benchmark cannot be used at all. The message is one sentence with the cure."""


class RowError(Exception):
    """One row cannot be used: `problem` says why, `detail` what was found."""

    def __init__(self, problem: Problem, detail: str = "") -> None:
        super().__init__(f"{problem.value}: {detail}" if detail else problem.value)
        self.problem = problem
        self.detail = detail
