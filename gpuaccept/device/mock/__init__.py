"""A simulated GPU node: a hardware model, deviations from it, and the physics between them."""
