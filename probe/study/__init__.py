"""Studies: designs, planning, execution, ranking, optimisation."""
