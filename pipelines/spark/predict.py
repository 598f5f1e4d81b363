"""Main program for spark-submit: `topgraft predict` with the arguments of the command line."""

import sys

from model.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
