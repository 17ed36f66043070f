"""Counterfactuals of one's own prompts: one piece differs, no other token does, and what can't be is said."""

from __future__ import annotations

import pytest

from circuitspex.errors import TaskError
from circuitspex.tasks import Example, Task, counterfactuals, ioi
from circuitspex.tasks.vocabulary import Vocabulary

PROMPTS = ["When Mary and John went to the store, John gave a drink to", "So Mary is a really good friend, isn't"]
NAMES = ["Paul", "Tom", "Anna", "Mary Anna", "and John"]


def test_only_the_piece_differs(any_model):
    pairs = counterfactuals(any_model, PROMPTS, "Mary", NAMES, seed=3)
    vocabulary = Vocabulary.of(any_model)
    for prompt, pair in zip(PROMPTS, pairs, strict=True):
        assert pair.word in ("Paul", "Tom", "Anna")
        assert pair.counterfactual == prompt.replace("Mary", pair.word)
        ids, other = vocabulary.prompt_ids(prompt), vocabulary.prompt_ids(pair.counterfactual)
        differ = [i for i, (a, b) in enumerate(zip(ids, other, strict=True)) if a != b]
        assert differ == list(pair.positions) == [1 + any_model.cfg.default_prepend_bos]
        assert [piece.strip() for piece in pair.before] == ["Mary"]
        assert [piece.strip() for piece in pair.after] == [pair.word]
    assert str(pairs[0]) in str(pairs)
    assert f"token {1 + any_model.cfg.default_prepend_bos}: " in str(pairs[0])
    assert len(str(pairs).splitlines()) == 2


def test_pieces_of_several_tokens_keep_their_number(word_model):
    pairs = counterfactuals(word_model, PROMPTS[:1], "Mary and John", ["Paul", "Tom and Anna", "Anna gave"], name="two")
    assert pairs[0].counterfactual == "When Tom and Anna went to the store, John gave a drink to"
    assert pairs[0].positions == (1, 2, 3)
    task = Task.from_examples(word_model, pairs.examples(" Mary", [" John"]))
    assert task.spans("two") == ((1, 2, 3),)
    assert task.counterfactuals == (pairs[0].counterfactual,)


def test_the_last_place_counts_and_each_prompt_may_have_a_piece_of_its_own(word_model):
    pairs = counterfactuals(word_model, PROMPTS, ["John", "friend"], ["Paul", "teacher"], seed=1)
    assert pairs[0].counterfactual.startswith("When Mary and John went to the store, ")
    assert pairs[0].positions == (9,)
    assert pairs[1].piece == "friend"


def test_named_positions_of_examples(any_model):
    task = ioi(any_model, n_prompts=4)
    pairs = counterfactuals(any_model, task.examples, "S2", ["Mary", "John", "Tom", "Peter", "Frank"], name="S2")
    for example, pair, span in zip(task.examples, pairs, task.spans("S2"), strict=True):
        assert pair.positions == span
        assert pair.piece == example.wrong_answer.strip()
        assert pair.word != pair.piece
        before, after = example.prompt.rsplit(pair.piece, 1)
        assert pair.counterfactual == before + pair.word + after
    again = Task.from_examples(any_model, pairs.examples([e.answer for e in task.examples], " she"))
    assert again.spans("S2") == task.spans("S2")


def test_the_seed_chooses(word_model):
    drawn = {counterfactuals(word_model, PROMPTS[0], "Mary", NAMES, seed=seed)[0].word for seed in range(12)}
    assert drawn == {"Paul", "Tom", "Anna"}
    one, same = (counterfactuals(word_model, PROMPTS * 4, "Mary", NAMES, seed=5) for _ in range(2))
    assert one == same


@pytest.mark.parametrize(
    ("piece", "words", "says"),
    [
        ("Mary", ["Paul Tom", "Mary", "Tom Tom Tom"], r"prompt 0: 'Mary' is 1 token there, and no word takes its place "
         r"alone: 2 tokens: 'Paul Tom'; 3 tokens: 'Tom Tom Tom'"),
        ("Mary", ["Mary"], "all are the same as it"),
        ("Mary", ["Tom Tom"] * 7, r"2 tokens: ('Tom Tom', ){4}'Tom Tom' and 2 more"),
        ("Zoe", ["Tom"], "prompt 0 has no 'Zoe'"),
        ("", ["Tom"], "prompt 0 has no ''"),
        (["Mary"], ["Tom"], "there are 1 pieces for 2 prompts"),
        ("Mary", [], "a list of at least one word"),
        ("Mary", "Tom", "a list of at least one word"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_one_line(piece, words, says, word_model):
    with pytest.raises(TaskError, match=says) as error:
        counterfactuals(word_model, PROMPTS, piece, words)
    assert "\n" not in str(error.value)


def test_other_refusals(word_model):
    with pytest.raises(TaskError, match="there are 1 answers for 2 prompts"):
        counterfactuals(word_model, PROMPTS, "Mary", NAMES).examples([" he"], " she")
    with pytest.raises(TaskError, match="must be a text or an Example, not int"):
        counterfactuals(word_model, [3], "Mary", NAMES)
    with pytest.raises(TaskError, match="at least one prompt"):
        counterfactuals(word_model, [], "Mary", NAMES)
    with pytest.raises(TaskError, match="seed"):
        counterfactuals(word_model, PROMPTS, "Mary", NAMES, seed=-1)
    bare = Example("So Mary", "So Paul", " he", " she")
    with pytest.raises(TaskError, match="prompt 0 has no 'name'"):
        counterfactuals(word_model, [bare], "name", NAMES)
