"""Likelihoods that users write: traced, taken apart into predictors, and compiled row by row."""
