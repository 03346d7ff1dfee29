"""How a score grows with the size of the data: laws, their choice, and forecasts."""
