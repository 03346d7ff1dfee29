"""What is decided: pure functions on arrays, without a database and without torch. scipy, sklearn and optuna load when called."""
