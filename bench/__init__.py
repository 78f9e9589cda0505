"""Speed and size as ratios: every subject is timed beside a floor that does the least that any program must do."""
