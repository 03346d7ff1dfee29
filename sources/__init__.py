"""What the data is: samples, mixtures, readers, draws, checks, the catalogue and the generated world."""
