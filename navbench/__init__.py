"""navbench: which editing directions of an image generator are good, how far they go and how local they are."""

__version__ = "0.1.0"
