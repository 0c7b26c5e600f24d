"""`python -m appliance` and the command `earshot`."""


def main() -> int:
    """Run the command line."""
    return 0
