"""webdataset 1.0.2, `tariterators.py`: group_by_keys, a key ends at the first dot of the base name."""

import json
import tarfile

from tests.conformance.trained_rows import TrainedRow


def groups(tar):
    key, fields = None, {}
    for member in tar:
        head, _, field = member.name.partition(".")
        if head != key and fields:
            yield fields
            fields = {}
        assert field not in fields
        key, fields[field] = head, tar.extractfile(member).read()
    if fields:
        yield fields


def trained_rows(out, phase):
    rows = []
    for shard in sorted((out / phase).glob("*.tar")):
        with tarfile.open(shard) as tar:
            for fields in groups(tar):
                record = json.loads(fields["json"])
                turns = tuple((message["role"], message["content"]) for message in record["messages"])
                assert set(fields) == {"json", *record["images"]}
                rows.append(TrainedRow(record["source"], record["id"], turns, tuple(fields[name] for name in record["images"])))
    return rows
