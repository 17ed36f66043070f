"""BCH codes against the arithmetic of their definition, and the promise that t errors are always corrected."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from circuitspex.errors import UserError
from circuitspex.masks.bch import MAX_DEGREE, MIN_DEGREE, BchCode, Decoded, Field

SHAPES = [(1, 1), (4, 1), (5, 2), (11, 1), (16, 3), (40, 2), (100, 5), (128, 4), (500, 3), (1024, 5), (4096, 5)]


def slow_product(a, b, m, polynomial):
    """Product of two polynomials over GF(2), modulo a third, bit by bit."""
    out = 0
    for bit in range(m):
        if b >> bit & 1:
            out ^= a << bit
    for bit in reversed(range(m, 2 * m)):
        if out >> bit & 1:
            out ^= polynomial << (bit - m)
    return out


def encode(code, information):
    """Code words (W, n + P): the information bits, then their parity bits."""
    return np.hstack([information, parity_of(code, information)])


def parity_of(code, information):
    return (information.astype(int) @ code.parity.T) % 2 == 1


def hard_decode(code, received):
    """Information bits with up to t wrong bits corrected, as received where that failed, and whether it succeeded."""
    information = received[:, : code.n_players]
    return corrected(code, information, code.sparse_of(received[:, code.n_players :] ^ parity_of(code, information)))


def soft_decode(code, soft):
    """The nearest code word in the soft metric among those that hard decoding reaches by a few flips of parity bits."""
    bits, size = soft < 0, np.abs(soft)
    information, weights = bits[:, : code.n_players], size[:, code.n_players :]
    syndrome = bits[:, code.n_players :] ^ parity_of(code, information)
    found = code.sparse_near(np.where(syndrome, -weights, weights))
    rows = Decoded(np.arange(len(found.word)), found.members, found.n_errors)
    pattern, _ = corrected(code, np.zeros((len(found.word), code.n_players), dtype=bool), rows)
    wrong = np.hstack([pattern, parity_of(code, pattern) ^ syndrome[found.word]])
    order = np.lexsort(((wrong * size[found.word]).sum(1), found.word))
    first = order[np.unique(found.word[order], return_index=True)[1]]
    return corrected(code, information, Decoded(found.word[first], found.members[first], found.n_errors[first]))


def corrected(code, information, found):
    pattern = np.zeros((len(information), code.n_players + 1), dtype=bool)
    pattern[found.word[:, None], found.members] = True  # -1 is the spare column
    success = np.zeros(len(information), dtype=bool)
    success[found.word] = True
    return information ^ pattern[:, :-1], success


def slow_nearest(code, received):
    """All information words within t of a received word, by trying every error pattern."""
    found = set()
    for weight in range(code.t + 1):
        for places in combinations(range(len(received)), weight):
            word = received.copy()
            word[list(places)] ^= True
            if np.array_equal(encode(code, word[None, : code.n_players])[0], word):
                found.add(word[: code.n_players].tobytes())
    return found


@pytest.mark.parametrize("m", range(MIN_DEGREE, MAX_DEGREE + 1))
def test_fields(m):
    field = Field(m)
    assert sorted(field.power[: field.order].tolist()) == list(range(1, 2**m))  # the polynomial is primitive
    polynomial = 2**m ^ int(field.power[m])
    rng = np.random.default_rng(m)
    a, b = rng.integers(0, 2**m, (2, 200))
    a[:3] = 0
    expected = [slow_product(int(i), int(j), m, polynomial) for i, j in zip(a, b, strict=True)]
    np.testing.assert_array_equal(field.times(a, b), expected)
    np.testing.assert_array_equal(field.times(a, field.inverse(a)), a != 0)


@pytest.mark.parametrize(("n", "t"), SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_up_to_t_errors_are_always_corrected(n, t, seed):
    code = BchCode.smallest(n, t)
    rng = np.random.default_rng([seed, n, t])
    information = rng.random((60, n)) < 0.5
    received = encode(code, information)
    for word in received:
        count = min(int(rng.integers(0, t + 1)), len(word))
        word[rng.choice(len(word), count, replace=False)] ^= True
    decoded, success = hard_decode(code, received)
    assert success.all(), (n, t, seed)
    np.testing.assert_array_equal(decoded, information, err_msg=f"{(n, t, seed)}")


@pytest.mark.parametrize(("n", "t"), SHAPES)
def test_sparse_sets_are_found_from_their_parity(n, t):
    code = BchCode.smallest(n, t)
    rng = np.random.default_rng([n, t])
    for _ in range(20):
        size = int(rng.integers(0, min(n, t) + 1))
        members = np.sort(rng.choice(n, size, replace=False))
        parity = code.parity[:, members].sum(1) % 2 == 1
        wrong = rng.choice(code.n_parity, int(rng.integers(0, min(t - size, code.n_parity) + 1)), replace=False)
        parity[wrong] ^= True
        found = code.sparse_of(parity[None])
        assert found.word.tolist() == [0], (n, t, members)
        assert found.n_errors.tolist() == [size + len(wrong)]
        assert found.members[0][found.members[0] >= 0].tolist() == members.tolist()
        expected = code.parity[:, members].sum(1) % 2 == 1
        np.testing.assert_array_equal(code.parity_of_sets(found.members)[0], expected)


@pytest.mark.parametrize(("n", "t"), [(1, 1), (3, 1), (4, 2), (6, 2), (9, 2), (5, 3)])
def test_random_words_decode_as_by_trying_every_pattern(n, t):
    code = BchCode.smallest(n, t)
    received = np.random.default_rng([n, t]).random((40, n + code.n_parity)) < 0.5
    decoded, success = hard_decode(code, received)
    for word, information, yes in zip(received, decoded, success, strict=True):
        nearest = slow_nearest(code, word)
        assert len(nearest) <= 1
        assert nearest == ({information.tobytes()} if yes else set()), (n, t, word)


def test_the_length_is_the_smallest():
    for n, t in SHAPES:
        code = BchCode.smallest(n, t)
        assert code.parity.shape == (code.n_parity, n)
        assert code.n_parity <= t * code.m
        assert 2**code.m - 1 - code.n_parity >= n
    assert [BchCode.smallest(n, 5).n_parity for n in (32, 64, 256, 1024)] == [27, 35, 45, 55]


def test_soft_decoding_reaches_beyond_t():
    code = BchCode.smallest(60, 2)
    rng = np.random.default_rng(3)
    information = rng.random((200, 60)) < 0.5
    words = encode(code, information)
    soft = np.where(words, -1.0, 1.0) * rng.uniform(0.8, 1.2, words.shape)
    for row in soft:  # 4 wrong parity bits, all of them weak
        places = 60 + rng.choice(code.n_parity, 4, replace=False)
        row[places] *= -0.1
    assert not hard_decode(code, soft < 0)[1].all() or (hard_decode(code, soft < 0)[0] != information).any()
    decoded, success = soft_decode(code, soft)
    assert success.all()
    np.testing.assert_array_equal(decoded, information)


def test_no_words_are_fine():
    code = BchCode.smallest(20, 2)
    decoded, success = hard_decode(code, np.zeros((0, 20 + code.n_parity), dtype=bool))
    assert decoded.shape == (0, 20)
    assert success.shape == (0,)


@pytest.mark.parametrize(("n", "t", "words"), [(0, 1, "information bit"), (5, 0, "error"), (9000, 1, "no BCH code")])
def test_codes_that_do_not_exist_are_refused(n, t, words):
    with pytest.raises(UserError, match=words):
        BchCode.smallest(n, t)


@pytest.mark.parametrize("wrong", [np.zeros((2, 7), dtype=bool), np.zeros(10, dtype=bool), np.full((1, 10), 2)])
def test_wrong_words_are_refused(wrong):
    code = BchCode.smallest(20, 2)
    assert code.n_parity == 10
    with pytest.raises(UserError, match="parity bits"):
        code.sparse_of(wrong)
