"""What a person asks of the stored killmails."""
