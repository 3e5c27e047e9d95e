"""Runs of the series: their parameters, their progress, and what they leave."""
