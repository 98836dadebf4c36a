"""A plug-in of navbench whose every number can be worked out by hand."""
