"""Many runs of one config, packed side by side and spread over worker processes."""
