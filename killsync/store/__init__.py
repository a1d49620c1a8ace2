"""The databases: the only place that speaks SQL."""
