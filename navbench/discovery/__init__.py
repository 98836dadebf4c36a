"""Finding directions: a basis of a space, and optionally coefficients learned on it."""
