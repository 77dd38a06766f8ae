"""Curves: predictors that are not linear in their parameters, by least squares and beyond."""
