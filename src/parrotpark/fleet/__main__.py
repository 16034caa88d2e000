"""Runs the command: python -m parrotpark.fleet."""

import sys

from parrotpark.fleet.cli import main

if __name__ == "__main__":
    sys.exit(main())
