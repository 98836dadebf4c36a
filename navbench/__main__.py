"""`python -m navbench`."""

from navbench.cli import main

if __name__ == "__main__":
    main(prog_name="navbench")
