"""Capacity of a multi-model endpoint: how many instances hold many models at a wanted hit ratio and latency."""
