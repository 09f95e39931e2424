"""The built book and the notebooks in a real browser."""
