"""Which images and texts two data sets share, and which rows of a source give a benchmark's answers away."""
