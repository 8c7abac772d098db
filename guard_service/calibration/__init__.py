"""What resolved items say of a policy: `guard review calibrate`."""
