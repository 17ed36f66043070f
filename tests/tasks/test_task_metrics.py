"""The metrics against formulas written out in float64, and what is refused."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import pytest
import torch

from circuitspex.errors import TaskError
from circuitspex.tasks import METRICS, Metric, MetricRows, as_metric, check_metric_values

ROWS, VOCAB = 5, 37


def example_rows(dtype=torch.float64, scale=4.0):
    generator = torch.Generator().manual_seed(11)
    logits = (torch.randn(ROWS, VOCAB, generator=generator, dtype=torch.float64) * scale).to(dtype)
    clean = (torch.randn(ROWS, VOCAB, generator=generator, dtype=torch.float64) * scale).to(dtype)
    answers = torch.tensor([0, 5, 36, 7, 7])
    wrong = torch.tensor([3, 36, 0, 8, 9])
    return logits, MetricRows(answers, wrong, clean, wrong_logits=logits)


def by_hand(name: str, logits, rows) -> list[float]:
    def probabilities(row):
        top = max(row)
        exponentials = [math.exp(v - top) for v in row]
        return [e / math.fsum(exponentials) for e in exponentials]

    values = []
    for r in range(len(logits)):
        row, clean = logits[r].double().tolist(), rows.clean_logits[r].double().tolist()
        answer, wrong = int(rows.answers[r]), int(rows.wrong_answers[r])
        p, q = probabilities(clean), probabilities(row)
        values.append(
            {
                "logit_diff": row[answer] - row[wrong],
                "answer_logprob": math.log(q[answer]),
                "answer_prob": q[answer],
                "kl": math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True)),
                "logprob_diff": math.log(q[answer] / q[wrong]),
                "answer_logprob_mean": math.log(q[answer]),
                "logprob_diff_mean": math.log(q[answer] / q[wrong]),
            }[name]
        )
    return values


@pytest.mark.parametrize("name", list(METRICS))
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 2e-5), (torch.bfloat16, 2e-5), (torch.float16, 2e-5)],
)
def test_metric_equals_the_formula(name, dtype, tolerance):
    logits, rows = example_rows(dtype)
    values = METRICS[name](logits, rows)
    assert values.shape == (ROWS,)
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(
        values.double(), torch.tensor(by_hand(name, logits, rows), dtype=torch.float64), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("name", list(METRICS))
def test_gradients_flow(name):
    logits, rows = example_rows(scale=1.0)
    logits = logits[:, :10].clone().requires_grad_(True)
    rows = MetricRows(rows.answers % 10, rows.wrong_answers % 10, rows.clean_logits[:, :10])
    assert torch.autograd.gradcheck(lambda x: METRICS[name](x, replace(rows, wrong_logits=x)), (logits,))


def test_kl_is_zero_at_the_clean_logits_and_never_below():
    logits, rows = example_rows(torch.float32)
    same = MetricRows(rows.answers, rows.wrong_answers, logits)
    assert float(METRICS["kl"](logits, same).abs().max()) < 1e-6
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
    for step in (1e-5, 1e-3):
        near = METRICS["kl"](logits + step * noise, same)
        assert bool((near >= 0).all())


def test_kl_of_tokens_that_are_ruled_out():
    logits, rows = example_rows(torch.float32)
    logits[:, 20:] = -torch.inf
    same = MetricRows(rows.answers, rows.wrong_answers, logits.clone())
    logits.requires_grad_(True)
    values = METRICS["kl"](logits, same)
    assert bool((values == 0).all())


def test_kl_needs_the_clean_logits():
    logits, rows = example_rows()
    with pytest.raises(TaskError, match="give rows"):
        METRICS["kl"](logits, MetricRows(rows.answers, rows.wrong_answers))
    assert [name for name, metric in METRICS.items() if metric.needs_clean] == ["kl"]


def only_logits(logits):
    return logits[:, 3]


def with_rows(logits, rows):
    return logits.gather(-1, rows.answers[:, None])[:, 0]


def with_default(logits, token=4):
    return logits[:, token]


def with_optional_rows(logits, rows=None):
    return with_rows(logits, rows)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (only_logits, "only_logits"),
        (with_rows, "with_rows"),
        (with_default, "with_default"),
        (with_optional_rows, "with_optional_rows"),
        (lambda *given: with_rows(*given), "<lambda>"),
        (functools.partial(with_default, token=2), "partial"),
    ],
)
def test_own_functions(function, name):
    logits, rows = example_rows()
    metric = as_metric(function)
    expected = {"only_logits": logits[:, 3], "with_default": logits[:, 4], "partial": logits[:, 2]}
    torch.testing.assert_close(metric(logits, rows), expected.get(name, with_rows(logits, rows)))
    assert metric.name == name
    assert as_metric(metric) is metric


def test_unknown_metrics_are_refused():
    with pytest.raises(TaskError, match="unknown metric 'logitdiff'; known: logit_diff, answer_logprob"):
        as_metric("logitdiff")
    with pytest.raises(TaskError, match="not int"):
        as_metric(3)
    for function in (lambda: 0, lambda a, b, c: a, lambda a, *, key: a):
        with pytest.raises(TaskError, match=r"callable as f\(logits\) or f\(logits, rows\)"):
            as_metric(function)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda logits: logits, r"shape \(5,\), not \(5, 37\)"),
        (lambda logits: logits.mean(), r"shape \(5,\), not \(\)"),
        (lambda logits: 3.0, "must return a tensor"),
    ],
)
def test_wrong_shapes_are_one_clear_line(function, says):
    logits, rows = example_rows()
    with pytest.raises(TaskError, match=says) as error:
        as_metric(function)(logits, rows)
    assert "\n" not in str(error.value)


def test_values_that_are_not_finite_name_the_prompt():
    metric = METRICS["logit_diff"]
    values = torch.zeros(4)
    assert check_metric_values(values, metric, n_rows=4) is values
    values[2] = torch.nan
    with pytest.raises(TaskError, match="'logit_diff' gave nan on prompt 2"):
        check_metric_values(values, metric)
    with pytest.raises(TaskError, match="on prompt 9"):
        check_metric_values(values, metric, prompts=[7, 8, 9, 10])
    per_prompt = torch.zeros(3, 4)
    per_prompt[1, 3] = -torch.inf
    with pytest.raises(TaskError, match="gave -inf on prompt 3"):
        check_metric_values(per_prompt, metric)
    with pytest.raises(TaskError, match=r"shape \(5,\)"):
        check_metric_values(torch.zeros(4), metric, n_rows=5)


def test_identity_tells_functions_of_one_name_apart():
    def make(token, index=...):
        return lambda logits: logits[index, token]

    assert METRICS["logit_diff"].identity == "logit_diff"
    assert as_metric(make(1)).identity == as_metric(make(1)).identity
    assert as_metric(make(1)).identity != as_metric(make(2)).identity
    assert Metric("logit_diff", with_rows).identity != "logit_diff"
    weights = torch.arange(3.0)
    assert as_metric(make(weights)).identity == as_metric(make(weights.clone())).identity
    assert as_metric(make(weights)).identity != as_metric(make(weights + 1)).identity
    # An object whose state can't be read is never taken for another one.
    assert as_metric(make(object())).identity != as_metric(make(object())).identity


def test_a_function_that_knows_itself_has_a_fingerprint():
    def metric(logits):
        return logits[:, 0] if len(logits) else metric(logits)

    assert as_metric(metric).identity == as_metric(metric).identity


def test_answers_of_several_tokens_are_read_from_the_end_on():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(ROWS, 3, VOCAB, generator=generator, dtype=torch.float64)
    ids = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1], [36, 0, 2]])
    rows = MetricRows(ids, ids + 1 - 37 * (ids == 36))
    steps = [
        [math.log(math.exp(logits[r, k, i]) / logits[r, k].exp().sum()) for k, i in enumerate(ids[r])] for r in range(5)
    ]
    whole = torch.tensor([math.fsum(row) for row in steps], dtype=torch.float64)
    torch.testing.assert_close(METRICS["answer_logprob"](logits, rows), whole)
    torch.testing.assert_close(METRICS["answer_prob"](logits, rows), whole.exp())
    first = MetricRows(rows.answers[:, :1], rows.wrong_answers[:, :1])
    assert torch.equal(METRICS["logit_diff"](logits, rows), METRICS["logit_diff"](logits[:, :1], first))

    def middle(logits, rows):
        assert rows.positions == {"subject": 0, "END": 1, "later": 4}
        return logits[:, rows.positions["later"], 3]

    longer = torch.cat([logits, logits[:, :2]], dim=1)
    found = Metric("middle", middle, reads=("subject", "END", "later"))(longer, rows)
    assert torch.equal(found, longer[:, 4, 3])


def test_answers_of_different_lengths_are_summed_as_far_as_they_go():
    generator = torch.Generator().manual_seed(3)
    logits, others = torch.randn(2, ROWS, 3, VOCAB, generator=generator, dtype=torch.float64)
    answers, wrong = torch.randint(VOCAB, (2, ROWS, 3), generator=generator)
    lengths, wrong_lengths = torch.tensor([1, 2, 3, 3, 1]), torch.tensor([3, 1, 2, 3, 1])
    rows = MetricRows(answers, wrong, None, {"END": 0}, others, lengths, wrong_lengths)

    def by_steps(logits, ids, lengths):
        return torch.tensor(
            [
                math.fsum(float(torch.log_softmax(logits[r, k], -1)[ids[r, k]]) for k in range(int(lengths[r])))
                for r in range(ROWS)
            ],
            dtype=torch.float64,
        )

    right, other = by_steps(logits, answers, lengths), by_steps(others, wrong, wrong_lengths)
    expected = {
        "answer_logprob": right,
        "answer_prob": right.exp(),
        "logprob_diff": right - other,
        "answer_logprob_mean": right / lengths,
        "logprob_diff_mean": right / lengths - other / wrong_lengths,
    }
    assert set(expected) == {name for name, metric in METRICS.items() if metric.takes_several}
    for name, values in expected.items():
        torch.testing.assert_close(METRICS[name](logits, rows), values)


def test_what_a_metric_follows():
    def metric(logits, rows):
        return logits[:, 0, 0]

    assert as_metric(only_logits).continuations == ()
    assert not as_metric(only_logits).takes_several
    assert Metric("own", metric, reads=("END",)).continuations == ("answer",)
    assert Metric("own", metric, reads=("subject",)).continuations == ()
    assert Metric("own", metric, reads=("subject",)).takes_several
    both = Metric("own", metric, reads=("END",), follows=("answer", "wrong_answer"))
    assert both.identity != Metric("own", metric, reads=("END",)).identity
    with pytest.raises(TaskError, match=r"give rows.wrong_logits"):
        both(torch.zeros(2, 1, 3), MetricRows(torch.zeros(2, 1).long(), torch.zeros(2, 1).long()))
    for wrong in (("wrong_answer",), ("END",), "answer"):
        with pytest.raises(TaskError, match=r"metric 'own' follows \('answer',\) or"):
            Metric("own", metric, reads=("END",), follows=wrong)
    with pytest.raises(TaskError, match="where it reads END"):
        Metric("own", metric, reads=("subject",), follows=("answer",))
