"""The command line: it parses, calls one function each, and prints. No module of it needs torch to be imported."""

import sys

try:
    from navbench.cli.index import main
except KeyboardInterrupt:  # before there is a program that could say so
    sys.stderr.write("Interrupted.\n")
    sys.exit(130)

__all__ = ["main"]
