"""Texts with a cache are those without, token for token; arguments; one compiled step for all."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from language_models import MODELS, WORDS, stacked, transformer

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamina.generation import generate
from lamina.graph.function import Function

PROMPTS = [[1, 2, 3], [5] * 6, [7]]


@pytest.mark.parametrize("options", [{}, {"temperature": 0.0}, {"temperature": 0.8, "top_k": 3, "top_p": 0.9}])
@pytest.mark.parametrize("name", ["attention", "LSTM", "causal convolutions"])
def test_the_cache_changes_nothing(name: str, options: dict[str, Any]) -> None:
    model = MODELS[name]()
    with_cache = generate(model, PROMPTS, 9, seed=1, cached=True, **options)
    without = generate(model, PROMPTS, 9, seed=1, cached=False, **options)
    assert [len(text) for text in with_cache] == [12, 15, 10]
    for prompt, a, b in zip(PROMPTS, with_cache, without, strict=True):
        assert a.dtype == np.int32 and a[: len(prompt)].tolist() == prompt
        np.testing.assert_array_equal(a, b)


def test_greedy_text_is_what_the_model_says() -> None:
    model = transformer()
    text = generate(model, [4, 9], 8, temperature=0)
    best = model(text[None, :-1]).numpy()[0].argmax(-1)
    np.testing.assert_array_equal(text[2:], best[1:])


def test_the_seed_decides() -> None:
    model = MODELS["LSTM"]()
    texts = [generate(model, [1], 30, seed=seed).tolist() for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    lamina.random.seed(3)
    one = generate(model, [1], 30).tolist()
    assert generate(model, [1], 30).tolist() != one
    lamina.random.seed(3)
    assert generate(model, [1], 30).tolist() == one


def test_one_step_is_compiled_for_all_lengths_seeds_and_temperatures() -> None:
    model = transformer(length=64)
    for seed, (prompt, steps) in enumerate((([1], 5), ([1, 2, 3], 20), ([4] * 10, 50))):
        generate(model, prompt, steps, seed=seed, temperature=0.5 + seed)
    (reader,) = vars(model)["_readers"]["readers"].values()
    assert [len(step.captures) for step in reader._steps.values()] == [1]


def test_a_model_that_was_built_by_its_first_call_reads_the_whole_text() -> None:
    read = []
    lengths = layers.Lambda(lambda x: (read.append(x.shape[1]), x)[1])
    model = lamina.Sequential([lengths, layers.Embedding(WORDS, 8), layers.GRU(8, return_sequences=True)])
    model(np.zeros((1, 3), np.int32))  # of three steps, which binds it to none
    read.clear()
    generate(model, [1, 2], 6, seed=1, cached=False)
    assert read[-6:] == [2, 3, 4, 5, 6, 7]


def test_ctrl_c_is_heard_in_long_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = stacked(layers.GRU(5, return_sequences=True))
    generate(model, [1], 300, seed=1)
    repeat = Function.repeat
    calls: list[int] = []

    def interrupted(self: Function, times: int) -> Any:
        calls.append(times)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return repeat(self, times)

    with monkeypatch.context() as patch:
        patch.setattr(Function, "repeat", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate(model, [1], 300, seed=1)
    assert max(calls) < 200
    assert len(generate(model, [1], 300, seed=1)) == 301


def test_layers_and_activations_that_change_are_used() -> None:
    model = stacked(layers.GRU(5, return_sequences=True))
    model.layers[-1].bias.assign(np.arange(WORDS, dtype=np.float32) * 100)
    assert set(generate(model, [1], 10, temperature=0)[1:].tolist()) == {WORDS - 1}
    model.layers[-1].activation = lamina.negative
    assert set(generate(model, [1], 10, temperature=0)[1:].tolist()) == {0}
    model.add(layers.Activation(lamina.negative))  # no other variables
    assert set(generate(model, [1], 10, temperature=0)[1:].tolist()) == {WORDS - 1}


def test_weights_that_change_are_used() -> None:
    model = stacked(layers.GRU(5, return_sequences=True))
    before = generate(model, [1], 20, temperature=0)
    model.layers[-1].bias.assign(100.0 * np.eye(WORDS, dtype=np.float32)[3])
    after = generate(model, [1], 20, temperature=0)
    assert set(after[1:].tolist()) == {3} != set(before[1:].tolist())
    model.pop()
    model.add(layers.Dense(WORDS, bias_initializer=lambda shape, dtype: 100.0 * lamina.one_hot([4], WORDS)[0]))
    assert set(generate(model, [1], 20, temperature=0)[1:].tolist()) == {4}


def test_a_text_longer_than_the_positions_goes_on_from_its_later_half() -> None:
    model = transformer(length=8)
    text = generate(model, [1, 2], 30, temperature=0, cached=True)
    np.testing.assert_array_equal(generate(model, [1, 2], 30, temperature=0, cached=False), text)
    for place in range(2, 32):
        start = 0 if place < 8 else 4 * ((place - 8) // 4 + 1)
        best = model(text[None, start:place]).numpy()[0, -1].argmax()
        assert text[place] == best
    long = generate(model, [list(range(1, 11)) * 2, [1]], 5, seed=0)  # a prompt longer than the model takes
    assert [len(t) for t in long] == [25, 6] and long[0][:20].tolist() == list(range(1, 11)) * 2


def test_the_end_token_ends_a_text() -> None:
    model = MODELS["LSTM"]()
    free = generate(model, PROMPTS, 60, seed=5)
    ended = generate(model, PROMPTS, 60, seed=5, end=3)
    for prompt, a, b in zip(PROMPTS, free, ended, strict=True):
        new = a[len(prompt) :].tolist()  # the 3 of the first prompt does not count
        assert b.tolist() == a[: len(prompt) + new.index(3) + 1 if 3 in new else None].tolist()
    assert any(len(b) < len(a) for a, b in zip(free, ended, strict=True))


def test_models_with_logits_of_the_last_step_only() -> None:
    inner = layers.Embedding(WORDS, 6), layers.LSTM(5), layers.Dense(WORDS)
    model = lamina.Sequential([layers.Input((4,), dtype="int32"), *inner])
    text = generate(model, [1, 2], 10, temperature=0)  # made for 4 steps, but its state goes on
    free = lamina.Sequential([layers.Embedding(WORDS, 6), layers.LSTM(5), layers.Dense(WORDS)])
    free.build((None, None))
    free.set_weights(model.get_weights())  # generate adds none
    for place in range(2, 12):
        assert text[place] == free(text[None, :place]).numpy()[0].argmax()


def test_a_stateful_model_writes_for_batches_of_any_size() -> None:
    model = stacked(layers.LSTM(5, return_sequences=True, stateful=True), batch=8)
    free = stacked(layers.LSTM(5, return_sequences=True))
    free.set_weights(model.get_weights())
    wanted = generate(free, [1, 2], 10, seed=0)
    np.testing.assert_array_equal(generate(model, [1, 2], 10, seed=0), wanted)
    assert not model.layers[1].states[0].numpy().any()  # its own states are as they were


def test_what_cannot_be_cached_reads_the_whole_text() -> None:
    def pooled() -> Any:
        return lamina.Sequential([
            layers.Input((4,), dtype="int32"), layers.Embedding(WORDS, 6), layers.Flatten(), layers.Dense(WORDS),
        ])  # fmt: skip

    model = pooled()
    with pytest.warns(UserWarning, match="reads the whole text again for every token"):
        text = generate(model, [1, 2, 3, 4], 6, temperature=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(generate(model, [1, 2, 3, 4], 6, temperature=0, cached=False), text)
    for place in range(4, 10):
        assert text[place] == model(text[None, place - 4 : place]).numpy()[0].argmax()
    with pytest.raises(ArgumentError, match="cannot be read one token at a time: a layer cannot take single steps"):
        generate(pooled(), [1, 2, 3, 4], 6, cached=True)
    bad = stacked(layers.Bidirectional(layers.GRU(4, return_sequences=True)))
    with pytest.raises(ArgumentError, match="its logits differ when it reads one token at a time"):
        generate(bad, [1], 6, cached=True)


def test_positions_counted_by_hand_are_noticed() -> None:
    table = layers.Embedding(20, 8)

    class Model(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head, self.table = layers.Embedding(WORDS, 8), layers.Dense(WORDS), table

        def call(self, tokens: Any) -> Any:
            return self.head(self.embedding(tokens) + self.table(lamina.arange(tokens.shape[1])))

    with pytest.raises(ArgumentError, match="positions other than PositionEmbedding's"):
        generate(Model(), [1], 6, cached=True)


def test_functions_are_models_too() -> None:
    model = MODELS["attention"]()
    wanted = generate(model, [3, 4], 8, seed=2)
    np.testing.assert_array_equal(generate(lambda tokens: model(tokens), [3, 4], 8, seed=2, cached=True), wanted)
    compiled = lamina.function(lambda tokens: model(tokens))
    np.testing.assert_array_equal(generate(compiled, [3, 4], 8, seed=2, cached=True), wanted)
    assert compiled.captures == []  # nothing compiled for the cache stays behind in it


def test_mistakes_are_named() -> None:
    model = MODELS["LSTM"]()
    for prompt, message in (
        ("abc", "not text"), (["a", "b"], "not text"), ([], "at least one token"), ([[1], []], "at least one token"),
        ([0.5], "integers; got float64"), ([WORDS], f"holds token {WORDS}; the model knows 0 to {WORDS - 1}"),
        ([-1], "holds token -1"), (None, "sequence of token numbers; got None"), (5, "token numbers; got 5"),
        ([[1, 2], 3], r"got a part of shape \(\)"), ([[[1]]], r"got a part of shape \(1, 1\)"),
    ):  # fmt: skip
        with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
            generate(model, prompt, 3)
    with pytest.raises(ArgumentTypeError, match="a function of tokens; got int"):
        generate(3, [1], 3)
    with pytest.raises(ArgumentError, match=f"end is a token from 0 to {WORDS - 1}; got 99"):
        generate(model, [1], 3, end=99)
    with pytest.raises(ArgumentError, match="steps is a positive int; got 0"):
        generate(model, [1], 0)
    with pytest.raises(ArgumentError, match="temperature is 0"):
        generate(model, [1], 3, temperature=-2)
    with pytest.raises(ShapeError, match="A language model returns logits"):
        generate(lambda tokens: lamina.ones((3,)), [1], 3, cached=False)
