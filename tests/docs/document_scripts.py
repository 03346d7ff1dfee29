"""How each document is run: what it begins with, which words stand in for others, and which commands cannot run here.

`{hub}` is a hub served by the test, `{manifest}` the newest manifest and `{older}` the one before. Every document begins in a folder with
the files of `document_files`. Settings are the environment variables that every option has; those in SMALL hold for all documents.
"""

from commands_in_docs import ROOT
from running_documents import Script

SMALL = {
    "PROBE_RUN_SAMPLES": "16",
    "PROBE_RUN_SEEDS": "2",
    "PROBE_RUN_MIXTURES": "5",
    "PROBE_RUN_WORKERS": "1",
    "PROBE_RUN_SLOTS": "1",
    "PROBE_OPTIMIZE_SEEDS": "1",
    "PROBE_OPTIMIZE_WORKERS": "1",
    "PROBE_PROXIES_CHECK_WORKERS": "1",
}

WORKSPACES = {  # the one that it begins with, and the commands that make it
    "empty": (None, ""),
    "registered": (
        "empty",
        """
probe sources add a --path data/a.json --images data/images --licence CC-BY-4.0
probe sources add b --path data/b.json --images data/images --licence CC0-1.0
probe sources add c --path data/c.json --images data/images --licence MIT
probe benchmarks add ocr-test --path data/bench.tsv --images data/images --capability ocr
probe benchmarks add chart-test --path data/other.tsv --images data/images --capability charts
""",
    ),
    "decided": (
        "registered",
        """
probe run --source a --source b --source c
probe run --design swarm --source a --source b --source c
probe optimize --samples 60 --no-confirm --no-merged
""",
    ),
}

NEEDS_KIT = "needs the environment that `make eval` builds, of 3 GB, and a published table"
MINE = "probe sources add mine --path data/mine.json --images data/images"
SEARCHED = {"PROBE_OPTIMIZE_NO_CONFIRM": "1"}  # the tutorial and own-data.md confirm
A_TRAINER = Script(
    "decided",
    instead={
        "MANIFEST": "{manifest}",
        "NAME": "jsonl",
        "DIR --mode native": "native --mode native",
        "llamafactory-v1 --out DIR": "llamafactory-v1 --out v1",
        "python mixture.py": "cd DIR && python mixture.py",
    },
    leaves=("DIR/README.md", "DIR/MIXTURE.md"),
)

SCRIPTS = {
    "README.md": Script(
        "empty",
        between={
            "probe optimize --no-noncommercial --most-sources 4 --floor ocr=0": "probe run --design swarm --source mine --source other"
        },
        instead={
            "s3://bucket/shards/": "{hub}/plain/bucket/shards/",
            "ocr,recognition": "ocr,unique-rows",
            "a=0.7,b=0.3": "mine=0.7,other=0.3",
            "probe proxies check": "probe proxies check --dry-run",
        },
        left_out={
            "make demo": "it takes minutes",
            "make test": "this is one of the tests",
            "python3.11 -m venv .venv": "it fetches packages",
            ".venv/bin/pip install -c constraints.txt torch": "it fetches packages",
            ".venv/bin/pip install -c constraints.txt -e '.[demo,dev]'": "it fetches packages",
            ".venv/bin/probe demo": "it takes minutes",
            "probe dashboard": "it serves until it is stopped",
            "make eval": "it fetches 3 GB",
            "probe benchmarks add --vlmeval MMBench_DEV_EN --limit 500": NEEDS_KIT,
            "probe eval --proxy P --adapter DIR --benchmark MMBench_DEV_EN --scorer vlmeval": NEEDS_KIT,
        },
        settings=SEARCHED | {"PROBE_OPTIMIZE_MERGED": "false"},
        leaves=("bad.jsonl",),
    ),
    "docs/benchmarks.md": Script(
        "decided",
        between={"probe benchmarks check NAME --study S": "probe run --source a --benchmark ours"},
        instead={
            "NAME": "ours",
            "F.tsv": "data/F.tsv",
            "forms.tsv": "data/forms.tsv",
            "forms --path forms.tsv --scorer-command": "forms-too --path data/forms.tsv --scorer-command",
            "P": "tiny",
            "S": "main",
        },
        saved={"team/scoring.py": "def field_match"},
    ),
    "docs/catalogue.md": Script("empty", saved={"ours.toml": "[our-charts]"}),
    "docs/curriculum.md": Script(
        "registered",
        before=f"{MINE}\nprobe run --study s --source a --source c --samples 160 --learning-rate .01",
        instead={"--seeds 5": "--seeds 2", "S": "mine", "--phases-by quality": "--phases-by quality --samples 160"},
        settings=SEARCHED | {"PROBE_RUN_MIXTURES": "6", "PROBE_CATALOGUE": "capabilities.toml"},
    ),
    "docs/designs.md": Script(
        "decided",
        before="\n".join(MINE.replace("mine", name, 1) for name in ("new", "easy", "hard", "d")),
        instead={"250,500,1000,2000": "4,8,16", "500,1000,2000": "8,16", "24": "5", "--orders 3": "--orders 2"},
    ),
    "docs/fidelity.md": Script(
        "decided",
        instead={
            ".probe/manifests/main-3f0c9d1a77e2.json": ".probe/manifests/main-*.json",
            "web/captions=.5,docs/charts=.5": "a=.5,b=.5",
            "NAME": "even",
            "check --study main --json": "check --study main --dry-run --json",  # own-data.md trains
        },
    ),
    "docs/formats.md": Script(
        "registered",
        before="probe sources add llava-665k --path data/llava-665k --images data/llava-665k/data",
        instead={"ShareGPT4V": "data/ShareGPT4V", "DATA": "data/ShareGPT4V/data", "FineVision": "data/FineVision"},
    ),
    "docs/manifest.md": Script(
        "decided",
        before="probe optimize --samples 40 --no-confirm --no-merged",
        instead={"M": "{manifest}", "A": "{older}", "B": "{manifest}", "DIR": "train"},
        leaves=("train/manifest.json", "train/croissant.json"),
    ),
    "docs/merging.md": Script("decided", instead={"--seeds 3": "--seeds 2"}, settings=SEARCHED),
    "docs/mixtures.md": Script(
        "decided",
        instead={"ocr,recognition": "ocr,charts", "--suggest 4": "--suggest 2 --run"},
        settings=SEARCHED | {"PROBE_OPTIMIZE_MERGED": "false"},
    ),
    "docs/overlap.md": Script("decided", instead={"S": "a"}),
    "docs/own-data.md": Script(
        "empty",
        instead={
            "--holdout 0.05": "--holdout 0.25",
            "--proxy qwen2.5-vl-3b --tokens 2000000": "--proxy tiny --tokens 600",
            "--budget 12": "--budget .003",
            "check --study main": "check --study main --source charts --source chat",
            "--tokens 500000000": "--tokens 3000",
            "M": "{manifest}",
        },
        settings={"PROBE_RUN_SAMPLES": ""},
        leaves=("decision.html", "train/dataset_info.json"),
    ),
    "docs/scaling.md": Script("registered", instead={"S": "a", "250,500,1000,2000": "4,8,16"}),
    "docs/streaming.md": Script(
        "registered",
        instead={
            "s3://bucket/shards/": "{hub}/plain/bucket/shards/",
            "https://host/caps.json": "{hub}/plain/host/caps.json",
            "https://host/images": "{hub}/plain/host/images",
            "/data/FineVision": "data/FineVision",
        },
    ),
    "docs/vlmevalkit.md": Script(
        "empty",
        instead={"mine.tsv": "data/mine.tsv"},
        left_out={
            "probe benchmarks add --vlmeval MMBench_DEV_EN": NEEDS_KIT,
            "probe benchmarks add --vlmeval AI2D_TEST --limit 500": NEEDS_KIT,
        },
    ),
    **{f"docs/trainers/{page.name}": A_TRAINER for page in (ROOT / "docs/trainers").glob("*.md")},
}
