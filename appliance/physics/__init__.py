"""How sound behaves outdoors: constants with their sources, air, geodesy, travel times, sources and paths. No I/O."""
