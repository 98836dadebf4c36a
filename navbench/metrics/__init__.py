"""Measurements: pure functions of tensors that know neither generators nor directions."""
