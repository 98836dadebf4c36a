"""Pretrained generators behind one interface: codes in, images out, one kernel at a time exchangeable."""
