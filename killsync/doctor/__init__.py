"""What `killsync doctor` looks at: one module per subject, and `subjects`, which asks them all.

Nothing here changes anything: no database is created, no lock taken, no mode changed.
"""
