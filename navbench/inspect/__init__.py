"""The page on which directions are looked at and named, and how far people agree on the names."""
