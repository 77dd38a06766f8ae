collect_ignore = ["script.py"]  # it runs as a script, once
