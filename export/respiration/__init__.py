"""Whether a newborn's breaths can be counted from pictures: clips that breathe, and what is read from them."""
