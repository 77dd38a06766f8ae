"""Output of a fit: text, HTML, tables and plots."""
