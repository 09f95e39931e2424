"""What the book reads from the reference run: its lines as estimates, outcomes and verdicts."""
