"""Parquet of the hub: what is asked for, what is drawn, and that nothing is asked for twice."""

from collections import Counter
from pathlib import Path

import pytest
from hub_server import HubServer
from making_repos import finevision

from sources.fingerprint import fingerprint
from sources.problems import SourceError
from sources.remote.pool import fetch_source
from sources.sampling import SourcePool
from sources.spec import SourceSpec, Stream


@pytest.fixture
def fine(hub):
    return finevision(hub.root)


def size(repo, subset="chartqa"):
    return sum(file.stat().st_size for file in (repo / subset).iterdir())


def ranges(hub: HubServer) -> Counter:
    return Counter((entry.path, entry.range) for entry in hub.data(".parquet"))


CHARTQA = {"hub": "org/fine", "subset": "chartqa"}


def test_a_draw_takes_little_of_every_shard_and_is_the_same_everywhere(hub, fine, machine, other_machine):
    first = machine.fetch(**CHARTQA)
    assert first["usable"] == 40
    assert first["format"] == "parquet"
    assert first["subsources"] == {f"shard-{shard}": 10 for shard in range(4)}
    assert all(entry.range for entry in hub.data(".parquet"))
    footers = 4 * 65_536  # what pyarrow reads of a file's end
    assert hub.sent(".parquet") - footers < 0.45 * size(fine)  # every row group is touched here, and not the column that nobody wants
    assert "40 of 800 rows" in first["said"][0]

    same, other = other_machine.fetch_all(CHARTQA, {**CHARTQA, "stream": {"seed": 1}})
    assert (same["content"], same["fingerprint"]) == (first["content"], first["fingerprint"])
    assert other["content"] != first["content"]
    assert other["fingerprint"] != first["fingerprint"]

    (fine / "README.md").write_text((fine / "README.md").read_text() + "A word more.\n")  # another commit of the same data
    later = machine.fetch(**CHARTQA)
    assert later["content"] == first["content"]
    assert later["fingerprint"] != first["fingerprint"]


def test_few_places_of_many_are_read(hub, machine):
    repo = finevision(hub.root, "iam(cauldron)", shards=6, rows=600, group=10)
    found = machine.fetch(hub="org/fine", subset="iam(cauldron)")
    assert set(found["subsources"]) == {f"shard-{shard}" for shard in range(6)}
    touched = {(entry.path, entry.range) for entry in hub.data(".parquet")}
    assert len(touched) <= 6 * 2 + 40  # an end, and the rest of a long footer, a shard; and one range a block
    assert hub.sent(".parquet") < 0.25 * size(repo, "iam(cauldron)")


def test_what_was_fetched_before_ctrl_c_is_not_fetched_again(hub, fine, machine, tmp_path):
    machine.interrupted_fetch(hub.interrupt, 12, **CHARTQA)
    before = ranges(hub)
    assert sum(before.values()) >= 12
    went_on, again = machine.fetch_all(CHARTQA, CHARTQA)
    assert sum(ranges(hub).values()) > sum(before.values())
    assert set(ranges(hub).values()) == {1}
    assert again["content"] == went_on["content"] == folder_content(fine, tmp_path)


def test_a_file_that_is_gone_or_changed_is_named_and_fetched_again(hub, fine, machine):
    first = machine.fetch(**CHARTQA)
    blocks = sorted(Path(first["path"]).iterdir())
    drawn = {"hub_id": "org/fine", "subset": "chartqa", "revision": first["revision"], "stream": Stream(rows=40)}
    spec = SourceSpec("mine", "parquet", first["path"], **drawn)
    assert fingerprint(spec) == first["fingerprint"]
    blocks[0].unlink()
    blocks[1].write_bytes(blocks[1].read_bytes()[:-1] + b"X")
    with pytest.raises(SourceError, match=rf"2 of {len(blocks)} files .*{blocks[0].name}.*{blocks[1].name}.*probe sources fetch mine"):
        fingerprint(spec)
    hub.asked.clear()
    again = machine.fetch(**CHARTQA)
    assert again["content"] == first["content"]
    assert len(hub.data(".parquet")) <= 2 + 2  # two row groups, and the footer of the shard that they are of, an end and the rest
    assert sorted(Path(first["path"]).iterdir()) == blocks


def folder_content(repo, tmp_path, rows=40):
    """Return the hash of what is drawn of a folder that is laid out as on the hub: the same as from the hub."""
    spec = SourceSpec("mine", "", subset="chartqa", stream=Stream(str(repo), rows=rows))
    return SourcePool.open(fetch_source(spec, tmp_path / "from-folder", print)).content
