"""The page and the figure of training data: the examples are in them, and nothing else can get in."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from torch import nn

import circuitspex as cx
from circuitspex.circuits.circuit import Circuit, Combination, Estimate, Faithfulness, Interaction, Node
from circuitspex.errors import UserError
from circuitspex.export import examples_figure, examples_page
from circuitspex.games import TrainFunction

N = 6


def training(x=None):
    x = np.random.default_rng(0).random((N, 3)) if x is None else x
    y = np.arange(N) % 2
    size = int(np.prod(x.shape[1:]))
    return cx.Training(lambda: nn.Sequential(nn.Flatten(), nn.Linear(size, 2)), (x, y), (x, y), steps=1)


def game(x=None):
    return cx.TrainingGame(training(x), {"first": [0, 1, 2], "<b>second</b>": [4, 5]})


def circuit(names=("first", "<b>second</b>")):
    a, b = names
    table = tuple(
        Combination(kept, value)
        for kept, value in zip(
            [(False, False), (False, True), (True, False), (True, True)], (0.1, 0.7, 0.6, 0.8), strict=True
        )
    )
    return Circuit(
        nodes=(
            Node(a, 0, "group", 0.4, Estimate(0.4, 0.3, 0.5), (0.3, 0.5)),
            Node(b, 0, "group", -0.2),
        ),
        interactions=(Interaction(names, -0.4, Estimate(-0.4, -0.5, -0.3), (-0.3, -0.5), table, 0.01),),
        faithfulness=Faithfulness(0.9, 0.8, 0.95, 20),
        model={"name": "net"},
        task={"name": "training data", "metric": "accuracy"},
        run={"lens": "training", "n_components": 2, "budget": 40},
    )


def images_in(page):
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    ]


@pytest.mark.parametrize("colours", [(), (3,)])
def test_the_page_has_the_pictures_of_each_player(tmp_path, colours):
    pictures = np.random.default_rng(1).integers(256, size=(N, 5, 7, *colours), dtype=np.uint8)
    path = examples_page(circuit(), game(), tmp_path / "page.html", pictures=pictures, per_player=2)
    shown = images_in(path.read_text())
    wanted = [pictures[i] for i in (0, 1, 4, 5, 0, 1, 4, 5)]  # of the pair, then of each player
    assert len(shown) == len(wanted)
    assert all(np.array_equal(one, two) for one, two in zip(shown, wanted, strict=True))


def test_names_and_captions_are_escaped_and_no_script_can_run(tmp_path):
    captions = ["<script>alert(1)</script>", '" onload="x', *"abcd"]
    page = examples_page(circuit(), game(), tmp_path / "page.html", captions=captions).read_text()
    assert "<script" not in page
    assert "<b>second" not in page
    assert 'onload="x' not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page
    assert "left out" in page
    assert "0.600" in page


def test_inputs_that_are_pictures_or_numbers_show_themselves(tmp_path):
    x = np.random.default_rng(0).random((N, 1, 8, 8)).astype(np.float32)
    page = examples_page(circuit(), game(x), tmp_path / "a.html").read_text()
    wanted = np.rint(255 * (x - x.min()) / (x.max() - x.min())).astype(np.uint8)
    assert np.array_equal(images_in(page)[0], wanted[0, 0])
    tokens = np.arange(N * 4).reshape(N, 4)
    model = cx.Training(
        lambda: nn.Sequential(nn.Embedding(24, 2), nn.Flatten(), nn.Linear(8, 2)),
        (tokens, np.arange(N) % 2),
        (tokens, np.arange(N) % 2),
        steps=1,
    )
    tokens_game = cx.TrainingGame(model, {"first": [0], "<b>second</b>": [1]})
    page = examples_page(circuit(), tokens_game, tmp_path / "b.html").read_text()
    assert "4 5 6 7" in page


def test_a_training_function_has_one_picture_a_player(tmp_path):
    function = cx.TrainingGame(TrainFunction(lambda mask: 1.0, workers=0), ["first", "<b>second</b>"])
    pictures = np.random.default_rng(1).integers(256, size=(2, 4, 4), dtype=np.uint8)
    page = examples_page(circuit(), function, tmp_path / "page.html", pictures=pictures).read_text()
    assert len(images_in(page)) == 4


def test_a_circuit_without_parts(tmp_path):
    empty = Circuit((), (), Faithfulness(None, None, None, 0))
    page = examples_page(empty, game(), tmp_path / "page.html").read_text()
    assert "No interactions" in page
    assert examples_figure(empty, game()).axes == []


def test_the_figure_draws_every_example_and_part(tmp_path):
    pictures = np.random.default_rng(1).random((N, 5, 5))
    figure = examples_figure(circuit(), game(), pictures=pictures)
    assert sum(len(axes.images) for axes in figure.axes) == 5
    said = [text.get_text() for text in figure.texts]
    assert "first" in said
    assert "first × <b>second</b>" in said
    widths = [bar.get_width() for axes in figure.axes for bar in axes.patches]
    assert widths == [0.4, -0.2, -0.4]
    figure.savefig(tmp_path / "figure.png")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pictures": np.zeros((N - 1, 4, 4))}, "pictures must be 6 images"),
        ({"pictures": np.zeros((N, 16))}, r"not float64 of shape \(6, 16\)"),
        ({"pictures": np.full((N, 4, 4), np.nan)}, "must be finite"),
        ({"captions": ["a"]}, "captions must be 6 texts"),
        ({"per_player": 0}, "per_player must be at least 1"),
    ],
)
def test_wrong_calls_are_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        examples_page(circuit(), game(), tmp_path / "page.html", **change)
    with pytest.raises(UserError, match=message):
        examples_figure(circuit(), game(), **change)


def test_a_circuit_of_another_game_is_refused(tmp_path):
    with pytest.raises(UserError, match="no player third"):
        examples_page(circuit(("first", "third")), game(), tmp_path / "page.html")


def test_a_browser_shows_the_pictures_and_asks_for_nothing(browser, tmp_path):
    path = examples_page(circuit(), game(), tmp_path / "page.html", pictures=np.random.default_rng(0).random((N, 8, 8)))
    heard = []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.on("console", lambda message: heard.append(message.text))
    page.on("request", lambda request: None if request.url.startswith(("data:", path.as_uri())) else heard.append(1))
    page.goto(path.as_uri())
    sizes = page.evaluate("[...document.images].map(image => [image.naturalWidth, image.complete])")
    wide = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.close()
    assert heard == []
    assert sizes == [[8, True]] * 10
    assert wide
