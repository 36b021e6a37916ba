"""How well the joints, the posture and the head's side of newborns are found: samples, figures, peers."""
