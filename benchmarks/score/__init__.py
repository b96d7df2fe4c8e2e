"""What `edge-adder score` and `EdgeAdder.predict_columns` do with many pictures."""
