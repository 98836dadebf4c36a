"""`navbench`, as a program whose leases are short: a driver that stands still is taken for dead after seconds."""

from navbench.cli import main
from navbench.runner import lease

BEAT, STALE = 0.5, 4.0

if __name__ == "__main__":
    lease.BEAT, lease.STALE = BEAT, STALE
    main(prog_name="navbench")
