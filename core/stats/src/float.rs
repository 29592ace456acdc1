//! Natural logarithm and exponential built from IEEE-754 additions, multiplications and divisions alone.
//!
//! C libraries disagree in the last bit of `ln` and `exp`, so evidence replayed on another platform would differ from
//! what was recorded. The basic operations are exactly specified; whatever is built from them in a fixed order is too.

const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
const MANTISSA: u64 = (1 << 52) - 1;
const EXPONENT_OF_ONE: u64 = 1023 << 52;
const TWO_POW_54: f64 = 18_014_398_509_481_984.0;
/// Coefficients of `s^3, s^5, ...`; `0.172^(2 * 12)` is below one unit in the last place, 0.172 being the largest argument
/// after reduction.
const ATANH: [f64; 11] = odd_reciprocals();
/// Coefficients of `1, x, x^2, ...`; `0.347^15 / 15!` is below one unit in the last place, 0.347 being the largest argument
/// after reduction.
const EXP: [f64; 15] = reciprocal_factorials();

/// Natural logarithm; `-inf` at zero, NaN below it. Within two units in the last place.
pub const fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let (bits, offset) =
        if x < f64::MIN_POSITIVE { ((x * TWO_POW_54).to_bits(), -54.0) } else { (x.to_bits(), 0.0) };
    let mut exponent = (bits >> 52) as f64 - 1023.0 + offset;
    let mut mantissa = f64::from_bits((bits & MANTISSA) | EXPONENT_OF_ONE);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    exponent * LN_2_HIGH + (twice_atanh((mantissa - 1.0) / (mantissa + 1.0)) + exponent * LN_2_LOW)
}

/// `ln(1 + x)` without the loss of digits near zero.
pub const fn ln_1p(x: f64) -> f64 {
    if x > -0.25 && x < 0.4 { twice_atanh(x / (2.0 + x)) } else { ln(1.0 + x) }
}

/// `e^x`; infinity above 709.78, zero below -745.
pub const fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 709.782_712_893_384 {
        return f64::INFINITY;
    }
    if x < -745.0 {
        return 0.0;
    }
    let scaled = x * std::f64::consts::LOG2_E;
    let power = (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i64;
    let rest = (x - power as f64 * LN_2_HIGH) - power as f64 * LN_2_LOW;
    let sum = polynomial(&EXP, rest);
    // Two steps, because 2^power alone may be subnormal or infinite where the product is not.
    let half = power / 2;
    sum * two_to(half) * two_to(power - half)
}

/// Logarithm of the mean of `e^v` over `values`, summed in order; zero (no evidence) for an empty slice.
pub fn log_mean_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return if values.is_empty() { 0.0 } else { largest };
    }
    let sum: f64 = values.iter().map(|value| exp(value - largest)).sum();
    largest + ln(sum / values.len() as f64)
}

const fn twice_atanh(s: f64) -> f64 {
    let square = s * s;
    2.0 * s + 2.0 * s * square * polynomial(&ATANH, square)
}

/// From the highest coefficient down: the order is part of the result.
const fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let mut sum = coefficients[N - 1];
    let mut index = N - 1;
    while index > 0 {
        index -= 1;
        sum = sum * x + coefficients[index];
    }
    sum
}

const fn odd_reciprocals<const N: usize>() -> [f64; N] {
    let mut coefficients = [0.0; N];
    let mut index = 0;
    while index < N {
        coefficients[index] = 1.0 / (2 * index + 3) as f64;
        index += 1;
    }
    coefficients
}

const fn reciprocal_factorials<const N: usize>() -> [f64; N] {
    let mut coefficients = [1.0; N];
    let mut factorial = 1.0;
    let mut index = 1;
    while index < N {
        factorial *= index as f64;
        coefficients[index] = 1.0 / factorial;
        index += 1;
    }
    coefficients
}

const fn two_to(power: i64) -> f64 {
    f64::from_bits(((power + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(ours: f64, platform: f64, relative: f64) -> bool {
        ours == platform || (ours - platform).abs() <= relative * platform.abs()
    }

    proptest! {
        #[test]
        fn ln_agrees_with_the_platform(x in proptest::num::f64::POSITIVE | proptest::num::f64::SUBNORMAL) {
            prop_assert!(close(ln(x.abs()), x.abs().ln(), 5e-16), "{x:e}: {} {}", ln(x.abs()), x.abs().ln());
        }

        #[test]
        fn ln_1p_agrees_with_the_platform(x in -0.999_999..100.0_f64) {
            prop_assert!(close(ln_1p(x), x.ln_1p(), 1e-15), "{x}");
        }

        #[test]
        fn exp_agrees_with_the_platform(x in -700.0..709.0_f64) {
            prop_assert!(close(exp(x), x.exp(), 5e-16), "{x}: {:e} {:e}", exp(x), x.exp());
        }
    }

    #[test]
    fn edges() {
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ln(-1.0).is_nan());
        assert_eq!((ln(1.0), exp(0.0), ln_1p(0.0)), (0.0, 1.0, 0.0));
        assert_eq!((exp(1000.0), exp(-1000.0), exp(f64::NEG_INFINITY)), (f64::INFINITY, 0.0, 0.0));
        assert_eq!(log_mean_exp(&[]), 0.0);
        assert_eq!(log_mean_exp(&[-1e20, -1e20]), -1e20);
    }

    /// The bits themselves: a change of the arithmetic would silently make recorded evidence unreplayable.
    #[test]
    fn bits_are_fixed() {
        assert_eq!(ln(10.0).to_bits(), 0x4002_6bb1_bbb5_5516);
        assert_eq!(exp(1.0).to_bits(), 0x4005_bf0a_8b14_576a);
    }
}
