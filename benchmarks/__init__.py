"""The suite that proves latency and parity."""
