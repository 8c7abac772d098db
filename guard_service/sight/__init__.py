"""What operators see: metrics, traces, logs. At the seams; decides nothing, keeps no text."""
