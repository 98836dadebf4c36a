"""Experiments: each feeds a measurement with images and returns tensors; none prints, plots or writes."""
