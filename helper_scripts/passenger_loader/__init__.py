"""What the loaders for Python applications are made of. Standard library only, Python 3.8 or newer."""
