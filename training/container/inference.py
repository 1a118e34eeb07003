"""Entry script of the endpoint: the four functions that SageMaker's inference toolkit calls."""

from picture_model.inference import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
