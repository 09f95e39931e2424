"""Every plot of the book: Matplotlib figures, and Vega-Lite specifications as dictionaries."""
