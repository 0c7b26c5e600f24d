"""How nodes find, trust and reach each other, and the sockets between the processes of one node."""
