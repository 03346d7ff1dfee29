"""`probe run` with the options of each design: what is planned, and what is refused with a cure."""

import pytest


@pytest.fixture
def other(probe, llava, images):
    """A second registered source over the same rows."""
    assert probe("sources", "add", "other", "--path", llava, "--images", images).code == 0
    return "other"


def planned(probe, *words):
    ended = probe("run", "--samples", "16", "--seeds", "1", "--device", "cpu", "--workers", "1", "--dry-run", "--json", *words)
    assert ended.code == 0, ended.err
    return ended.json()["arms"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--design", "halving", "--group", "docs"), "no group such as documents=docvqa,chartqa"),
        (("--group", "a=mine", "--group", "a=mine"), "--group names 'a' twice"),
        (("--design", "ladder", "--sizes", "10,many"), "--sizes: 'many' is no number"),
        (("--design", "ladder", "--sizes", "10,0.5"), "whole numbers of at least 1"),
        (("--design", "phases", "--phase", "mine=1"), "two or more: --design phases --phase easy=1 --phase hard=0.7,easy=0.3"),
        (("--phase", "mine=1"), "--phase goes with --design phases, not with solo"),
        (("--design", "phases", "--phase", "mine=0.4"), "--phase mine=0.4: its shares sum to 0.4 and must sum to 1"),
        (("--design", "phases", "--phase", "mine"), "--phase 'mine' is no list of shares such as a=0.5,b=0.5"),
        (("--design", "phases", "--phase", "mine=1", "--phase-share", "0.5,0.5"), "2 shares for 1 phases"),
        (("--design", "solo", "--sequential"), "--sequential is a way to ask add-one, not solo"),
        (("--design", "leave-one-out", "--base", "mine=1"), "mine is the whole base mixture"),
        (("--most-seeds", "9"), "--most-seeds goes with --until-decided"),
        (("--design", "ladder", "--until-decided"), "--until-decided goes with --design solo or add-one"),
        (("--base", "mine=1", "--sequential", "--until-decided"), "give --until-decided or --sequential, not both"),
        (("--base", "mine=1", "--sequential", "--budget", "1"), "--budget does not go with --sequential"),
        (("--by", "capability"), "nothing here says which capability mine is meant for: group it yourself"),
        (("--design", "ladder", "--double"), "--double goes with --design halving"),
        (("--sizes", "10,20"), "--sizes goes with --design ladder or phases"),
        (("--orders", "3"), "--orders goes with --sequential"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence_with_the_cure(probe, mine, bench, words, sentence):
    ended = probe("run", "--source", mine, "--samples", "16", "--seeds", "1", "--dry-run", *words)
    assert ended.code == 2, ended.err
    assert sentence in ended.err
    assert ended.err.count("Error:") == 1


def test_each_design_names_its_arms(probe, mine, other, bench, tmp_path):
    both = ("--source", mine, "--source", other)
    assert planned(probe, *both, "--design", "ladder", "--sizes", "8,16")[1:] == ["mine@8", "mine@16", "other@8", "other@16"]
    phases = planned(probe, "--design", "phases", "--phase", "mine=1", "--phase", "other=.5,mine=.5", "--sizes", "8", "--no-restarts")
    assert phases[1:] == ["phases/staged-one-schedule@8", "phases/reversed-one-schedule@8", "phases/mixed@8"]
    assert planned(probe, *both, "--base", "mine=.6,other=.4", "--sequential", "--orders", "2") == ["untrained", "base", "+mine", "+other"]
    assert not (tmp_path / ".probe" / "adapters").exists()
