"""A process about the centre of its masks, against all of its interactions written down."""

from itertools import combinations

import numpy as np
import pytest
from planted import all_masks, random_masks

from circuitspex.recovery.bases.polynomial import Polynomial, fourier_to_biased, signs
from circuitspex.recovery.decoders.gp import Prior, fit_anova
from circuitspex.recovery.decoders.gp_centre import Centred, centre_of
from circuitspex.recovery.decoders.gp_relevance import fit_values
from circuitspex.recovery.decoders.gp_terms import largest_terms, read

SEEDS = range(3)


def process(seed, n=6, n_masks=9, *, gradients=True, orders=(1.0, 0.7, 1.4)):
    """A fit to random numbers, and all of its interactions."""
    rng = np.random.default_rng(seed)
    prior = Prior(rng.dirichlet(np.ones(n)), 1.3, orders=orders)
    x = signs(random_masks(n_masks, n, seed=seed))
    values = rng.normal(size=n_masks)
    if gradients:
        fit = fit_anova(
            x, values, rng.normal(size=x.shape), np.full(x.shape, 0.3), prior, tolerance=1e-12, dtype=np.float64
        )
    else:
        fit = fit_values(x, values, prior)
    table = {(): fit.constant()}
    for order in (1, 2, 3):
        members = np.array(list(combinations(range(n), order)))
        table |= zip(map(tuple, members.tolist()), fit.coefficients(members).tolist(), strict=True)
    return fit, table


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("keep", [0.5, 0.3, 0.9])
@pytest.mark.parametrize("seed", SEEDS)
def test_its_terms_are_those_of_the_biased_basis(seed, keep, gradients):
    fit, table = process(seed, gradients=gradients)
    mu, sd = 2 * keep - 1, 2 * np.sqrt(keep * (1 - keep))
    wanted = fourier_to_biased(table, keep)
    found = Centred.of(fit, mu)
    n = fit.x.shape[1]
    assert found.constant == pytest.approx(wanted[()], abs=1e-10)
    np.testing.assert_allclose(found.singles * sd, [wanted[(i,)] for i in range(n)], atol=1e-10)
    rows = np.array([0, 2, 3, 5])
    pairs = found.pairs(rows)
    np.testing.assert_allclose(pairs, pairs.T)
    for a, b in combinations(range(len(rows)), 2):
        assert pairs[a, b] * sd**2 == pytest.approx(wanted[int(rows[a]), int(rows[b])], abs=1e-10)


@pytest.mark.parametrize("keep", [0.5, 0.2, 0.95])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_cut_off_adds_nothing_to_the_mean_and_the_main_effects(seed, keep):
    fit, table = process(seed)
    mu = centre_of(keep)
    whole = fourier_to_biased(table, keep)
    kept = ((0, 1), (2, 4), (1, 3, 5))
    part = read(fit, kept, mu)
    cut = fourier_to_biased(part.table(), keep)
    for term in [(), *((i,) for i in range(6)), *kept]:
        assert cut[term] == pytest.approx(whole[term], abs=1e-10), term
    rest = {term: value for term, value in cut.items() if len(term) > 1 and term not in kept}
    assert np.allclose(list(rest.values()), 0, atol=1e-10)  # also the pairs inside of the triple


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_with_all_terms_it_is_the_whole_function(keep):
    fit, table = process(7)
    terms = tuple(term for term in table if len(term) > 1)
    x = signs(all_masks(6))
    np.testing.assert_allclose(read(fit, terms, centre_of(keep)).predict(x), fit.predict(x), atol=1e-9)
    np.testing.assert_allclose(Polynomial.of(table).predict(x), fit.predict(x), atol=1e-9)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.95])
def test_little_is_lost_over_the_masks_that_it_is_used_for(keep):
    """300 components, of whose pairs and triples a few thousand make up the function: most are cut off."""
    rng = np.random.default_rng(3)
    n = 300
    x, fresh = (np.where(rng.random((size, n)) < keep, 1.0, -1.0) for size in (60, 400))
    prior = Prior(rng.dirichlet(np.full(n, 0.2)), 1.0)
    fit = fit_anova(x, rng.normal(size=60), rng.normal(size=x.shape) * 0.3, np.full(x.shape, 0.05), prior)
    mu = centre_of(keep)
    whole = fit.predict(fresh)
    cut = read(fit, largest_terms(fit, mu), mu).predict(fresh)
    assert ((whole - cut) ** 2).sum() < 0.02 * ((whole - whole.mean()) ** 2).sum()
