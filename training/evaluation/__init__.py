"""Measure an endpoint on staged pictures: predict, choose the threshold, summarise, show."""
