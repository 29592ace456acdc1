//! Tables and properties of quantities. The rows follow the documented rules of the Kubernetes resource model.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use trimtab_units::{Quantity, QuantityFormat};

fn check(text: &str, canonical: &str, value: i64, millis: i64) {
    let quantity: Quantity = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(quantity.to_string(), canonical, "{text}");
    assert_eq!((quantity.value(), quantity.millis()), (value, millis), "{text}");
}

#[test]
fn canonical_form_and_amount() {
    check("0", "0", 0, 0);
    check("0Ki", "0", 0, 0);
    check("0.0e99", "0", 0, 0);
    check("0.1", "100m", 1, 100);
    check("100m", "100m", 1, 100);
    check("1000m", "1", 1, 1000);
    check("1.5", "1500m", 2, 1500);
    check("1.5Gi", "1536Mi", 1_610_612_736, 1_610_612_736_000);
    check("1024Mi", "1Gi", 1 << 30, (1 << 30) * 1000);
    check("123Mi", "123Mi", 128_974_848, 128_974_848_000);
    check("129e6", "129e6", 129_000_000, 129_000_000_000);
    check("129M", "129M", 129_000_000, 129_000_000_000);
    check("128974848", "128974848", 128_974_848, 128_974_848_000);
    check("128974848000m", "128974848", 128_974_848, 128_974_848_000);
    check("1E", "1E", 1_000_000_000_000_000_000, i64::MAX);
    check("1E3", "1e3", 1_000, 1_000_000);
    check("1e-3", "1e-3", 1, 1);
    check("12e2", "1200", 1_200, 1_200_000);
    check("1k", "1k", 1_000, 1_000_000);
    check("1200", "1200", 1_200, 1_200_000);
    check("-1.5", "-1500m", -2, -1500);
    check("+2Ki", "2Ki", 2048, 2_048_000);
    check("-2Ki", "-2Ki", -2048, -2_048_000);
    check(".5", "500m", 1, 500);
    check("5.", "5", 5, 5000);
    check("00012", "12", 12, 12_000);
}

#[test]
fn binary_below_1024_or_with_a_fraction_prints_as_decimal() {
    check("0.5Ki", "512", 512, 512_000);
    check("1023Ki", "1023Ki", 1_047_552, 1_047_552_000);
    check("0.0001Ki", "102400u", 1, 103);
    check("1.0001Ki", "1024102400u", 1025, 1_024_103);
}

#[test]
fn too_fine_rounds_away_from_zero_and_too_large_is_capped() {
    check("0.0000000001", "1n", 1, 1);
    check("-0.0000000001", "-1n", -1, -1);
    check("1.0000000001", "1000000001n", 2, 1001);
    check("1e-2000000000", "1e-9", 1, 1);
    check("9Ei", "9223372036854775807", i64::MAX, i64::MAX);
    check("99999999999999999999", "9223372036854775807", i64::MAX, i64::MAX);
    check("-1e30", "-9223372036854775807", -i64::MAX, i64::MIN);
    check("7Ei", "7Ei", 7 << 60, i64::MAX);
}

#[test]
fn refusals_say_what_to_write() {
    for text in [
        "",
        "-",
        ".",
        "m",
        "1.1.1",
        "1 Mi",
        "1KI",
        "1K",
        "1mm",
        "1e",
        "1e3k",
        "1Mi ",
        " 1",
        "0x10",
        "1e99999999999",
        "--1",
        "\u{661}",
    ] {
        let error = text.parse::<Quantity>().expect_err(text).to_string();
        assert!(error.contains("write 250m, 1.5 or 64Mi"), "{error}");
    }
    assert!("1".repeat(129).parse::<Quantity>().is_err());
}

#[test]
fn compares_amounts_not_notation() {
    let parse = |text: &str| text.parse::<Quantity>().unwrap();
    assert_eq!(parse("1024Mi"), parse("1Gi"));
    assert_eq!(parse("1000m"), parse("1"));
    assert!(parse("1G") < parse("1Gi"));
    assert!(parse("-1") < parse("1n"));
    assert_eq!(parse("1Gi").checked_add(parse("1M")).unwrap().format(), QuantityFormat::BinarySi);
    assert_eq!(Quantity::ZERO.checked_add(parse("1Gi")).unwrap().to_string(), "1Gi");
    assert_eq!(parse("2").checked_sub(parse("500m")).unwrap().to_string(), "1500m");
    assert_eq!(Quantity::from_units(i64::MAX).checked_add(parse("1n")), None);
}

#[test]
fn reads_strings_and_numbers_writes_strings() {
    for (json, printed) in [("\"64Mi\"", "\"64Mi\""), ("2", "\"2\""), ("0.5", "\"500m\""), ("1e3", "\"1k\"")]
    {
        let read: Quantity = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), printed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(20_261_121), ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_handled(text in ".{0,40}") {
        let _ = text.parse::<Quantity>();
    }

    #[test]
    fn what_it_prints_it_reads_and_prints_again(
        text in "-?[0-9]{1,25}(\\.[0-9]{0,25})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e-?[0-9]{1,3})?",
    ) {
        let quantity: Quantity = text.parse().unwrap();
        let printed = quantity.to_string();
        let again: Quantity = printed.parse().unwrap();
        prop_assert_eq!(again, quantity);
        prop_assert_eq!(again.to_string(), printed);
    }

    #[test]
    fn constructors_keep_the_amount(millis: i64, bytes in -i64::MAX..) {
        prop_assert_eq!(Quantity::from_millis(millis).millis(), millis);
        prop_assert_eq!(Quantity::from_bytes(bytes).value(), bytes);
        prop_assert_eq!(Quantity::from_bytes(bytes).to_string().parse(), Ok(Quantity::from_bytes(bytes)));
    }

    #[test]
    fn ordering_follows_the_float(left: i64, right: i64) {
        let order = Quantity::from_millis(left).cmp(&Quantity::from_millis(right));
        prop_assert_eq!(order, left.cmp(&right));
    }
}
