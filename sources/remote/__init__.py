"""Sources that are not on this machine: data sets of the hub and fsspec URLs, drawn once into a folder in their own format."""
