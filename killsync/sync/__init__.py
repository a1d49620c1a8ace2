"""Working through the job table: lists, bodies, and the worker that chooses among them."""
