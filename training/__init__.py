"""What makes and scores a model: recipe, data, batching, optimisation, loop, checkpoints, averaging, scoring."""
