"""Pain cues by transfer learning (arXiv 1807.01631): a face network's features and handcrafted ones, then a classifier.

What comes out is a cue, the resemblance of one face to faces with brow bulge, eye squeeze and nasolabial furrow; it is
no score of NIPS, NFCS, PIPP or any other clinical scale.
"""
