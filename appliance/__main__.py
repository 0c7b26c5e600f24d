"""`python -m appliance` and the command `earshot`."""

import sys

from appliance.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
