"""How fast Pipe is, as ratios to named baselines that are measured in the same run."""
