"""The synthetic newborn: CC0 mesh, identity, expression, pose, scene, renderer, samples and clips."""
