"""Running a suite: what is to be done, doing it piece by piece, and keeping the results on disk."""
