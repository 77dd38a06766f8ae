"""What a fit looks like: text, HTML, tables and plots."""
