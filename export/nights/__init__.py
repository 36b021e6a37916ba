"""Day-long state sequences of a newborn: their truth, what a network would say of each frame, and how it is judged."""
