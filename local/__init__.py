"""The laptop's AWS: MiniStack and a SageMaker stand-in on one loopback port.

`python -m local start` starts it; docs/laptop-aws.md describes it and its limits.
"""
