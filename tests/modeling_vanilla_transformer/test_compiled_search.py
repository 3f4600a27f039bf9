"""The search gives the same translations with a compiled model."""

import torch


def test_a_compiled_model_searches_as_the_model_does(small_model, batch):
    torch.compiler.reset()
    model = small_model(encoder_layers=1, decoder_layers=1)
    inputs = dict(input_ids=batch.inputs["input_ids"], num_beams=1, max_new_tokens=6, min_new_tokens=4)
    expected = model.generate(**inputs)
    graphs = []

    def note(graph, example_inputs):
        graphs.append(graph)
        return graph.forward

    model.compile(backend=note, fullgraph=True)
    assert torch.equal(model.generate(**inputs), expected)
    assert graphs
