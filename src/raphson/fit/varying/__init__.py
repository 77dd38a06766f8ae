"""Fits with terms whose coefficients vary: their reading, and what it computes."""
