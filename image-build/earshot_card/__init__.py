"""The file on the card that a person may edit before the first start, and what a node makes of it at each start."""
