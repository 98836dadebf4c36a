"""The testbed: images whose true factors are known, a generator trained on them, and a scorer that reads them."""
