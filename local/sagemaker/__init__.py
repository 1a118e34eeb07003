"""Our SageMaker: training jobs, models and endpoints as processes of this machine."""
