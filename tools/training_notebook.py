"""The cells of the notebook on training data; ``make_notebooks.py`` writes it."""

TRAINING_DATA = [
    (
        "markdown",
        """# Which training examples work together

A training set is put together from many sources. Some were delivered twice, some are mislabelled, and some only help
beside others. Leaving out one source at a time misses much of this: where two have the same examples, leaving out
either changes nothing.

Here a small network learns to read digits from twelve groups of images, with three things planted among them. Each
*ablation* is a training without a random half of the groups; many hundreds of trainings run at once.""",
    ),
    (
        "code",
        """import numpy as np
from sklearn.datasets import load_digits
from torch import nn

import circuitspex as cx
from circuitspex.games import Adam

digits = load_digits()
images_of = {c: np.flatnonzero(digits.target == c) for c in range(10)}
rows, labels, groups = [], [], {}


def add(name, picked, label):
    groups[name] = range(len(rows), len(rows) + len(picked))
    rows.extend(picked)
    labels.extend([label] * len(picked))


for c in range(10):
    add(f"{c}s", images_of[c][:20], c)
add("2s again", images_of[2][:20], 2)  # delivered twice
add("9s called 4", images_of[9][20:60], 4)  # mislabelled
print(len(rows), "examples in", len(groups), "groups")""",
    ),
    (
        "markdown",
        """What counts is whether *numbers* are read rightly: single digits, and the number 38, which is right only when
both of its digits are. So 3s and 8s are complementary.

`Training` says what is trained and what is measured; `TrainingGame` makes the groups its players. Each training set is
trained with three seeds (initial parameters), so that effects can be told from the luck of a training.""",
    ),
    (
        "code",
        """pixels = (digits.data / 16).astype("float32")
singles = [(i, i) for c in (0, 1, 2, 4, 5, 6, 7, 9) for i in images_of[c][-40:]]
numbers = list(zip(images_of[3][-40:], images_of[8][-40:]))
pairs = np.array(singles + numbers)
answers = digits.target[pairs]
answers[: len(singles), 1] = -100  # a target that does not count

training = cx.Training(
    lambda: nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
    train=(pixels[rows], np.array(labels)),
    test=(pixels[pairs], answers),
    metric="exact_match",
    optimizer=Adam(0.02),
    steps=60,
    name="digits",
)
game = cx.TrainingGame(training, groups, seeds=3)
everything = np.ones((1, game.n_players), dtype=bool)
print(f"numbers read rightly after training on everything: {game(everything)[0]:.0%}")""",
    ),
    (
        "markdown",
        """## One group at a time

Leave-one-out first. The 2s look useless, and so does their copy; the 9s hardly matter; and nothing is said of 3s and 8s
belonging together.""",
    ),
    (
        "code",
        """one_out = ~np.eye(game.n_players, dtype=bool)
for name, without in zip(game.names, game(one_out)):
    print(f"without {name:12} {without - game(everything)[0]:+.3f}")""",
    ),
    (
        "markdown",
        """## Random training sets, decoded

120 random training sets are decoded into a sparse function of the groups. Its strongest groups and interactions are
then **measured again** in fresh random training sets, with intervals over training sets and seeds.""",
    ),
    (
        "code",
        """found = cx.explain(game, budget=120, n_heldout=60, n_contexts=12, max_interactions=8)
found.circuit""",
    ),
    (
        "markdown",
        """Orange and dashed is negative: the 2s and their copy *back each other up*, either will do. Blue is positive: 3s and 8s
do more together, only both read a 38. The mislabelled group has a negative effect of its own, and it works
against the 9s: what they teach is worth less where it is in.""",
    ),
    ("code", """print(found)"""),
    (
        "markdown",
        """## The examples themselves

A figure with a few examples of each group; `examples_page` writes the same as an HTML page, pictures included.""",
    ),
    (
        "code",
        """%matplotlib inline
from pathlib import Path
from tempfile import mkdtemp

from circuitspex.export import examples_figure, examples_page

pictures, captions = digits.images[rows], [f"label {label}" for label in labels]
page = examples_page(found, game, Path(mkdtemp()) / "digits.html", pictures=pictures, captions=captions)
print(page.name, f"{page.stat().st_size / 1000:.0f} kB")
examples_figure(found, game, pictures=pictures)""",
    ),
    (
        "markdown",
        """## Ask your own question

The decoded function predicts any training set. What if both copies of the 2s are left out?""",
    ),
    (
        "code",
        """masks = np.ones((4, game.n_players), dtype=bool)
masks[1, game.names.index("2s")] = False
masks[2, [game.names.index("2s"), game.names.index("2s again")]] = False
masks[3, game.names.index("9s called 4")] = False
labels_of = ["everything", "without 2s", "without 2s and their copy", "without the mislabelled"]
for label, decoded, real in zip(labels_of, found.interactions.predict(masks), game(masks)):
    print(f"{label:28} decoded {decoded:.3f}   trained {real:.3f}")""",
    ),
    (
        "markdown",
        """## Your own training code

Where a training can't be written as a function of parameters, give a function that trains on what a mask keeps and
returns a number. It runs in a pool of processes (put it into a module, so that they find it); here, in this process.""",
    ),
    (
        "code",
        """from sklearn.linear_model import LogisticRegression

from circuitspex.games import TrainFunction


def train(mask):
    kept = [i for name, keep in zip(groups, mask) if keep for i in groups[name]]
    kept_labels = np.array(labels)[kept]
    if len(set(kept_labels)) < 2:
        return 0.1
    model = LogisticRegression(max_iter=200).fit(pixels[rows][kept], kept_labels)
    return model.score(pixels[1200:], digits.target[1200:])


own = cx.TrainingGame(TrainFunction(train, workers=0), list(groups))
both = np.ones((3, own.n_players), dtype=bool)
both[1, 2] = both[2, [2, 10]] = False
print("everything, without 2s, without 2s and their copy:", own(both).round(3))""",
    ),
]
