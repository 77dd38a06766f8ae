"""Curves: predictors that are not linear in their parameters."""
