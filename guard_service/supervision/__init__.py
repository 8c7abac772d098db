"""Engine processes: one for each device, proven before they serve, watched, replaced."""
