"""Measure an endpoint on staged pictures: ask it, choose the threshold, count, and show."""
