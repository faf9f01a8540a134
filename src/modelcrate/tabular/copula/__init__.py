"""Gaussian copulas: each column through a distribution of its own to a standard normal score, the scores correlated."""
