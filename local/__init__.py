"""The laptop's AWS: MiniStack and a SageMaker of our own on one loopback port.

`python -m local start` starts it; docs/laptop-aws.md says how it works and what it lacks.
"""
