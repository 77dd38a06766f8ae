"""Likelihoods that users write: traced, decomposed into linear predictors, and compiled row by row."""
