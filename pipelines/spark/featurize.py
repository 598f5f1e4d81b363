"""Main program for spark-submit: `topgraft featurize` with the arguments of the command line."""

import sys

from model.cli import main

if __name__ == "__main__":
    sys.exit(main(["featurize", *sys.argv[1:]]))
