"""What a run looks like in a terminal: live, as plain lines, as JSON, or hardly at all."""
