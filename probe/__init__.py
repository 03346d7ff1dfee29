"""What is decided: command line, studies, statistics, manifests, exporters."""

DISTRIBUTION = "vlm-source-probe"
