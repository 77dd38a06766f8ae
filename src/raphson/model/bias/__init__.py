"""Reducing the bias of maximum likelihood."""
