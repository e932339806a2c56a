"""What a trained model is good for: predictions, features, scikit-learn, pictures, card, page."""
