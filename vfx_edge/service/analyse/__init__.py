"""Analyses a study in a process of its own, which may die without the service."""
