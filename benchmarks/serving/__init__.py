"""Latency and throughput of several model servers."""
