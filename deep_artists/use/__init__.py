"""What a trained model is good for: predictions, features, a scikit-learn estimator, pictures."""
