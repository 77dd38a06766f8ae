"""Models with terms whose coefficients vary: the criterion that chooses how much, its algebra and its derivatives."""
