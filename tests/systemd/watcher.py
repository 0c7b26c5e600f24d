"""A web client: prints each event of a node's page as a line of JSON, until killed.

watcher.py HOST PORT TOKEN
"""

import http.client
import ssl
import sys


def main() -> None:
    """Listen for events."""
    host, port, token = sys.argv[1:4]
    # The site is of this test alone; what a browser makes of its certificate is tested with the pages.
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=300.0)
    connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    print(f"status {response.status}", flush=True)
    kind = ""
    for line in response:
        text = line.decode("utf-8").rstrip("\n")
        if text.startswith("event:"):
            kind = text[6:].strip()
        elif text.startswith("data:"):
            print(f"{kind} {text[5:].strip()}", flush=True)


if __name__ == "__main__":
    main()
