"""What running a trained model needs: numpy and onnxruntime, never a training library."""
