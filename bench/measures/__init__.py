"""The measurements: each is a function from what it needs to figures."""
