"""The report: what a run folder holds, as figures and one self-contained page; it reads nothing else."""
