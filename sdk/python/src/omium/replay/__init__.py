"""Runs and their replay."""
