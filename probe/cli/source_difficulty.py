"""`probe sources difficulty`: pools of a source, from what a proxy finds easy to what it finds hard."""

from __future__ import annotations

from typing import Any

from probe.cli.output import counting, print_json, print_table, say
from probe.study.difficulty import Difficulty, make_pools
from probe.workspace import Workspace
from sources.counted import counted


def show_difficulty(workspace: Workspace, slug: str, proxy: str, pools: int, rows: int | None, device: str | None, as_json: bool) -> None:
    """Judge a source, register its pools and print them."""
    from probe.study.devices import check_device
    from probe.study.streaming import bring_here
    from proxy_training.jobs import EngineSettings
    from proxy_training.proxies import proxy_spec

    check_device(device)
    workspace.check_writable()
    bring_here(workspace, [slug], lambda line: say(line, err=True), counting)
    with counting(f"judging {slug}") as progress:
        found = make_pools(workspace, slug, proxy_spec(proxy), pools, rows, EngineSettings(device), progress)
    if as_json:
        print_json(difficulty_json(found))
        return
    cells = [[p.source, f"{p.rows:,}", f"{p.mean:.3f}", f"{p.low:.3f} - {p.high:.3f}"] for p in found.pools]
    print_table(["pool", "rows", "mean loss", "from - to"], cells)
    say(f"\nLoss of {found.proxy} as it is, in nats per answer token, of {counted(found.judged, 'row')}.")
    if found.excluded:
        say(f"In no pool: {', '.join(f'{n} {problem}' for problem, n in found.excluded)}.")
    say(f"Next: probe run --design phases --phases-by difficulty --source {found.source}")


def difficulty_json(found: Difficulty) -> dict[str, Any]:
    """Return what was judged as the object that `--json` prints."""
    pools = [{"source": p.source, "rows": p.rows, "mean_loss": p.mean, "low": p.low, "high": p.high} for p in found.pools]
    return {"source": found.source, "proxy": found.proxy, "judged": found.judged, "excluded": dict(found.excluded), "pools": pools}
