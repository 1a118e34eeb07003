"""The model: data, network, training, calibration and serving."""
