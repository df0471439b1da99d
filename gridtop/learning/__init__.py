"""What running a trained model needs: numpy, and onnxruntime where it is there; never a training library."""
