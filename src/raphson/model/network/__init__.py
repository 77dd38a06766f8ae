"""Networks: predictors made of layers."""
