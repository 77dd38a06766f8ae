"""Tables of texts, as text, HTML, Markdown and LaTeX."""
