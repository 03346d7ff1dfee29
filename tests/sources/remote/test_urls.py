"""fsspec URLs: memory:// in this process, http:// from a server of this machine."""

import fsspec
import pytest
from making_repos import finevision, llava, tars

from sources.fingerprint import fingerprint
from sources.problems import Problem, SourceError
from sources.remote.pool import fetch_source
from sources.sampling import SourcePool
from sources.spec import SourceSpec, Stream


def fetched(tmp_path, url, **stream):
    said = []
    spec = fetch_source(SourceSpec("mine", "", stream=Stream(url, **{"rows": 40, **stream})), tmp_path / "pools", said.append)
    return SourcePool.open(spec)


@pytest.fixture
def memory(tmp_path):
    """Copy a folder into memory:// and return its URL."""
    fs = fsspec.filesystem("memory")

    def put(folder):
        fs.put(f"{folder}/", "/bucket/", recursive=True)
        return "memory://bucket"

    yield put
    fs.rm("/bucket", recursive=True) if fs.exists("/bucket") else None


def test_a_url_gives_the_rows_that_the_hub_would_give(tmp_path, memory):
    repo = finevision(tmp_path / "repos", shards=3, rows=60)
    pool = fetched(tmp_path, memory(repo / "chartqa"))
    assert pool.usable == 40
    assert set(pool.subsources) == {"shard-0", "shard-1", "shard-2"}
    assert pool.spec.stream.version
    one = fetched(tmp_path, "memory://bucket/train-00001-of-00003.parquet")
    assert set(one.subsources) == {"shard-1"}
    some = fetched(tmp_path, "memory://bucket/train-0000[01]*", rows=0)
    assert set(some.subsources) == {"shard-0", "shard-1"}
    assert some.usable == 120
    assert len({p.fingerprint for p in (pool, one, some)}) == 3


def test_files_that_changed_since_are_not_taken_for_those_that_were_drawn(tmp_path, memory):
    repo = finevision(tmp_path / "repos", shards=2, rows=60)
    url = memory(repo / "chartqa")
    pool = fetched(tmp_path, url)
    assert fetch_source(pool.spec, tmp_path / "pools", print) == pool.spec  # nothing is asked for while it is here
    next((tmp_path / "pools").glob("*/data/*.parquet")).unlink()
    fs = fsspec.filesystem("memory")
    fs.pipe("/bucket/train-00000-of-00002.parquet", fs.cat("/bucket/train-00001-of-00002.parquet"))
    with pytest.raises(SourceError, match=r"others than mine was drawn from.*--replace"):
        fetch_source(pool.spec, tmp_path / "pools", print)


def test_of_json_with_images_at_a_url_only_the_drawn_rows_images_are_fetched(tmp_path, memory):
    llava(tmp_path / "repos")
    url = memory(tmp_path / "repos")
    fs = fsspec.filesystem("memory")
    pool = fetched(tmp_path, f"{url}/org/sharegpt/cap.json", rows=10, images=f"{url}/images")
    assert pool.usable == pool.index.total == 10
    images = list((tmp_path / "pools").glob("*/images/coco/*.png"))
    assert len(images) == 10
    ids = {pool.sample(number).id for number in pool.numbers()}
    assert ids != {str(i) for i in range(10)}
    fs.rm(f"/bucket/images/coco/{min(ids)}.png")
    less = fetched(tmp_path / "again", f"{url}/org/sharegpt/cap.json", rows=10, images=f"{url}/images")
    assert less.usable == 9
    assert less.excluded == {Problem.MISSING_IMAGE: 1}


def test_a_tar_is_fetched_from_where_it_was_interrupted(tmp_path, memory, monkeypatch):
    from sources.remote import whole

    monkeypatch.setattr(whole, "_PIECE", 10_000)
    url = memory(tars(tmp_path / "repos", shards=1, rows=12))
    fs = fsspec.filesystem("memory")
    asked = []
    cat = type(fs).cat_file

    def failing(self, path, start=None, end=None, **kwargs):
        asked.append((start, end))
        if len(asked) == 4:
            raise ConnectionResetError("the cable")
        return cat(self, path, start=start, end=end, **kwargs)

    monkeypatch.setattr(type(fs), "cat_file", failing)
    with pytest.raises(SourceError, match=r"the cable.*try again"):
        fetched(tmp_path, url)
    assert fetched(tmp_path, url).usable == 12
    assert asked[4] == asked[3]
    assert len(set(asked)) == len(asked) - 1


def test_what_cannot_be_used_is_said_in_a_sentence(tmp_path, memory):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "notes.docx").write_bytes(b"x")
    url = memory(tmp_path / "odd")
    for place, told in (
        (url, "no parquet, tar, JSON, TSV or arrow file"),
        ("memory://nowhere", "nothing at memory://nowhere"),
        ("nonsense://x/y", "cannot be opened"),
    ):
        with pytest.raises(SourceError, match=told):
            fetched(tmp_path, place)


def test_a_web_server_is_asked_for_ranges(tmp_path, hub):
    pytest.importorskip("aiohttp", reason="http:// needs aiohttp (extra `urls`)")
    repo = finevision(hub.root, shards=4, rows=200)
    whole = sum(file.stat().st_size for file in (repo / "chartqa").iterdir())
    pool = fetched(tmp_path, f"{hub.url}/plain/org/fine/chartqa/")
    assert set(pool.subsources) == {f"shard-{i}" for i in range(4)}
    assert hub.sent(".parquet") < 0.7 * whole
    assert fingerprint(pool.spec) == pool.fingerprint
    hub.asked.clear()
    assert fetched(tmp_path, f"{hub.url}/plain/org/fine/chartqa/").content == pool.content
    assert not hub.data(".parquet")
    with pytest.raises(SourceError, match="nothing at http"):
        fetched(tmp_path, f"{hub.url}/plain/org/fine/none.parquet")
