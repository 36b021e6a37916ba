"""From a frame to the infant's face: detection, tracking and skin regions."""
