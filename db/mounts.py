"""Which file system a path lies on: SQLite's WAL needs shared memory, which network file systems do not give."""

from __future__ import annotations

import re
from pathlib import Path

# fmt: off
NETWORK_TYPES = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "fuse.blobfuse2", "fuse.ceph", "fuse.cvmfs2",
    "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.mount-s3", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2",
    "smb", "smb3", "smbfs", "wekafs",
})
# fmt: on


def network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the network file system that holds `path`, or nothing where it is local or cannot be told."""
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not Linux
        return ""
    kind = file_system(path, table)
    return kind if kind in NETWORK_TYPES else ""


def file_system(path: Path, table: str) -> str:
    """Return the type of the deepest mount above `path`; of two on one point, the later."""
    place = path.resolve()
    best, kind = -1, ""
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_unescape(fields[1]))
        if place.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
