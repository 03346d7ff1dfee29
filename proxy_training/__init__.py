"""What a probe measures: jobs, base models, features, training and scoring."""
