"""``python -m lamina.cli``: the command ``lamina`` where it is not on the path."""

import sys

from lamina.cli import main

if __name__ == "__main__":
    sys.exit(main())
