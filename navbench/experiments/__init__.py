"""Experiments: each feeds a measurement with images and returns tensors; no experiment prints, plots or writes."""
