"""Names that the tests and what runs inside their appliances have to agree on."""

RECEIVER_PORT = 2960
PPS_FOLDER = "/run/test-pps"
TOKEN = "token-of-the-tests-alone"
"""Let into the API of the test's appliances."""
