"""What runs a job: each engine opens a box, runs steps in it, and closes it."""
