"""The ink network: which pixels of a picture are written on, trained on scenes composed here.

writing      strokes of digits, marks and letters, each as a mask
paper        what is written on, and what lies around it
page         a paper with what is written on it, and the answers
marks        what may stand around, across and beside a digit
light        how it is lit and photographed
scenes       a picture with its answers
network      picture → log-odds of writing, and of marks, for each pixel
train        scenes → checkpoint
average      checkpoints of one origin → their mean
to_onnx      checkpoint → file of the runtime, behind a gate
"""
