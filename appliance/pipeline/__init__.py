"""State machines between samples and incidents: `detector` turns blocks into picks, `fusion` picks into incidents."""
