"""Working the job table off: list steps, bodies, and the worker that chooses among them."""
