//! Gamma function, regularised incomplete gamma and its inverse: what a rate with few events is worth.

use crate::float::{exp, ln, ln_1p};
use std::f64::consts::PI;

/// Below this the recurrence lifts the argument to where Stirling's series is exact to the last digits.
const STIRLING_FROM: f64 = 15.0;
/// Terms of a series or continued fraction; reached only far outside the domain used here.
const MAX_TERMS: u32 = 10_000;
/// Halvings of a bracket; 200 exhaust the precision of any starting bracket.
const BISECTIONS: u32 = 200;

/// `ln Gamma(x)` for `x > 0`; NaN otherwise.
pub fn ln_gamma(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return f64::NAN;
    }
    let mut lifted = x;
    let mut product = 1.0;
    while lifted < STIRLING_FROM {
        product *= lifted;
        lifted += 1.0;
    }
    let half_ln_two_pi = 0.5 * ln(2.0 * PI);
    (lifted - 0.5) * ln(lifted) - lifted + half_ln_two_pi + stirling_rest(lifted) - ln(product)
}

/// `ln Gamma(x) - ((x - 1/2) ln x - x + ln(2 pi)/2)` for `x >= 15`.
fn stirling_rest(x: f64) -> f64 {
    let square = 1.0 / (x * x);
    let series =
        1.0 / 1260.0 - square * (1.0 / 1680.0 - square * (1.0 / 1188.0 - square * (691.0 / 360_360.0)));
    (1.0 / 12.0 - square * (1.0 / 360.0 - square * series)) / x
}

/// Regularised lower incomplete gamma `P(a, x)`: the probability that a Gamma(a, 1) variable is at most `x`.
/// NaN unless `a > 0` and `x >= 0`.
pub fn lower_regularised(a: f64, x: f64) -> f64 {
    if !(a > 0.0 && x >= 0.0) {
        return f64::NAN;
    }
    if x == 0.0 {
        return 0.0;
    }
    if x == f64::INFINITY {
        return 1.0;
    }
    let front = exp(a * ln(x) - x - ln_gamma(a));
    if x < a + 1.0 { front * lower_series(a, x) } else { 1.0 - front * upper_fraction(a, x) }
}

fn lower_series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for step in 1..MAX_TERMS {
        term *= x / (a + f64::from(step));
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

/// Continued fraction of the upper tail, evaluated forward (Lentz).
fn upper_fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let nonzero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / nonzero(b);
    let mut result = d;
    for step in 1..MAX_TERMS {
        let numerator = -f64::from(step) * (f64::from(step) - a);
        b += 2.0;
        d = 1.0 / nonzero(numerator * d + b);
        c = nonzero(b + numerator / c);
        let factor = d * c;
        result *= factor;
        if (factor - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    result
}

/// The `probability` quantile of Gamma(a, 1), so that `P(a, quantile) = probability`. NaN unless `a > 0` and
/// `0 < probability < 1`.
pub fn quantile(probability: f64, a: f64) -> f64 {
    if !(a > 0.0 && a.is_finite() && probability > 0.0 && probability < 1.0) {
        return f64::NAN;
    }
    let mut high = a + 1.0;
    while lower_regularised(a, high) < probability {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (low + high);
        if lower_regularised(a, middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// From here the leading terms of Stirling's series replace a difference of huge numbers.
const SERIES_FROM: f64 = 1000.0;

/// `ln Gamma(x + 1/2) - (x ln x - x + ln(2 pi)/2)` for `x >= 0`: what is left of a Beta(1/2, 1/2) mixture after its
/// likelihood cancelled.
pub(crate) fn half_rest(x: f64) -> f64 {
    if x >= SERIES_FROM {
        return -1.0 / (24.0 * x);
    }
    let bulk = if x > 0.0 { x * ln(x) - x } else { 0.0 };
    ln_gamma(x + 0.5) - bulk - 0.5 * ln(2.0 * PI)
}

/// `ln Gamma(x + 1) - ((x + 1/2) ln x - x + ln(2 pi)/2)` for `x > 0`.
pub(crate) fn whole_rest(x: f64) -> f64 {
    if x >= SERIES_FROM {
        return 1.0 / (12.0 * x);
    }
    ln_gamma(x + 1.0) - ((x + 0.5) * ln(x) - x) - 0.5 * ln(2.0 * PI)
}

/// `x * ln(x / y)` with the limit 0 at `x = 0`, accurate when `x` and `y` are close.
pub(crate) fn x_ln_ratio(x: f64, y: f64) -> f64 {
    if x > 0.0 { -x * ln_1p((y - x) / x) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, expect: f64, relative: f64) {
        assert!((got - expect).abs() <= relative * expect.abs().max(1e-300), "{got} is not {expect}");
    }

    #[test]
    fn table_of_ln_gamma() {
        for (x, expect) in [
            (0.01, 4.59947987804202),
            (0.5, 0.5723649429247),
            (1.5, -0.120782237635245),
            (3.7, 1.42807232666539),
            (14.999, 25.1885468705469),
            (100.5, 361.435540467778),
            (12345.0, 103953.532472048),
            (1e9, 19723265827.503717),
        ] {
            near(ln_gamma(x), expect, 1e-13);
        }
        assert_eq!((ln_gamma(1.0).abs() < 1e-14, ln_gamma(2.0).abs() < 1e-14), (true, true));
        assert!(ln_gamma(0.0).is_nan() && ln_gamma(-1.5).is_nan() && ln_gamma(f64::NAN).is_nan());
    }

    #[test]
    fn table_of_the_incomplete_gamma() {
        for (a, x, expect) in [
            (0.5, 0.1, 0.345279153981423),
            (0.5, 1.92, 0.949956478751295),
            (1.0, 1.0, 0.632120558828558),
            (2.5, 1.0, 0.15085496391539),
            (2.5, 9.0, 0.99705359541212),
            (50.5, 40.0, 0.0609655252294956),
            (50.5, 62.7, 0.949631729574546),
            (500.5, 538.0, 0.950620359357519),
        ] {
            near(lower_regularised(a, x), expect, 1e-12);
        }
        assert_eq!((lower_regularised(3.0, 0.0), lower_regularised(3.0, f64::INFINITY)), (0.0, 1.0));
        assert!(lower_regularised(0.0, 1.0).is_nan() && lower_regularised(1.0, -1.0).is_nan());
    }

    #[test]
    fn table_of_quantiles() {
        for (probability, a, expect) in [
            (0.95, 0.5, 1.92072941034706),
            (0.95, 1.5, 3.90736395162559),
            (0.95, 50.5, 62.7292097042412),
            (0.95, 500.5, 537.858114273015),
            (0.5, 2.0, 1.67834699001666),
            (0.001, 2.5, 0.10510630131461),
            (0.999, 10.0, 22.6573733090629),
        ] {
            near(quantile(probability, a), expect, 1e-10);
        }
        for (probability, a) in [(0.0, 1.0), (1.0, 1.0), (0.5, 0.0), (f64::NAN, 1.0), (0.5, f64::INFINITY)] {
            assert!(quantile(probability, a).is_nan());
        }
    }

    #[test]
    fn rests_are_continuous_where_the_series_takes_over() {
        near(half_rest(999.999), half_rest(1000.0), 1e-5);
        near(whole_rest(999.999), whole_rest(1000.0), 1e-5);
        near(half_rest(0.0), -0.5 * 2.0_f64.ln(), 1e-13);
    }
}
