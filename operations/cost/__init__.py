"""Estimate what the workflow costs on AWS."""
