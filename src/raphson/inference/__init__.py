"""Inference: covariances, intervals, tests, influence, residuals, the delta method and the certificate.

Everything here is a function of NumPy arrays: a factor of the information, the row scores and the designs.
None of it knows which model they came from.
"""
