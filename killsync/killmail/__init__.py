"""What a killmail is: its body as ESI sends it, and its hash. Pure."""
