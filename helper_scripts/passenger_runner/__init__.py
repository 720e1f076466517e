"""Runs a program that listens by itself, for the loaders that only watch: generic_loader.py and meteor_loader.py."""
