"""`uses:`: what the actions that come with the runner do."""
