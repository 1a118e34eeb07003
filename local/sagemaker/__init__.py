"""The SageMaker stand-in: training jobs, models and endpoints as processes of this machine."""
