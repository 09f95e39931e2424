"""``python -m companion.reference``: compute the reference run."""

import sys

from companion.reference.compute import main

if __name__ == "__main__":
    sys.exit(main())
