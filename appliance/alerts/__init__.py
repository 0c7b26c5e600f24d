"""Ways beyond the mesh for alerts; each sends one document and says whether it arrived."""
