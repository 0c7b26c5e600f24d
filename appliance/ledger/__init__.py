"""The log of signed records and the rules by which nodes exchange it: no clock, socket, thread or file."""
