"""Deployments: their order, their journal, their checks, and the way back; through plugins only."""
