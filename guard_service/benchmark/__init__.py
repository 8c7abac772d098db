"""Measures the service: workloads, load, what it is worth. Imports no torch."""
