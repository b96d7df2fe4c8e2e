"""The ink network: which pixels of a picture are digits, trained on scenes composed here.

writing      strokes of digits, marks and letters, each as a mask
paper        what is written on, and what lies around it
light        how it is lit and photographed
scenes       a picture with its answer
network      picture → probability of digit, mark and background for each pixel
train        scenes → checkpoint
to_onnx      checkpoint → file of the runtime, behind a gate
"""
