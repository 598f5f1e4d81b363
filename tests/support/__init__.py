"""What several tests need: photos, servers and faults to test against."""
