//! Kubernetes quantities, percentages and counts, as manifests write them.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::de::DeserializeOwned;
use trimtab_units::{IntOrPercent, Percent, Quantity, TemplateHash};

/// Whatever is read as an amount prints as text that is read as the same amount, from text and from JSON.
pub fn quantity(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    check::<Quantity>(&text);
    check::<Percent>(&text);
    check::<IntOrPercent>(&text);
    check::<TemplateHash>(&text);
    if let Ok(amount) = text.parse::<Quantity>() {
        let back = Quantity::ZERO.checked_add(amount).expect("nothing is added");
        assert_eq!(back.checked_sub(amount).map(Quantity::is_zero), Some(true), "{text:?}");
        assert!(amount.as_f64().is_finite() && (amount.value() == 0) <= amount.is_zero(), "{text:?}");
    }
    json::<Quantity>(data);
    json::<Percent>(data);
    json::<IntOrPercent>(data);
}

fn check<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            match printed.parse::<T>() {
                Ok(again) => assert_eq!((&again, again.to_string()), (&value, printed), "{text:?}"),
                Err(error) => panic!("{text:?} prints {printed:?}, which is not read: {error}"),
            }
        }
        // A fault is told in a line, however long the text was.
        Err(error) => assert!(error.to_string().len() < 1_024, "{error}"),
    }
}

fn json<T: DeserializeOwned + serde::Serialize + PartialEq + Debug>(data: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(data) {
        let printed = serde_json::to_vec(&value).expect("an amount prints");
        assert_eq!(serde_json::from_slice::<T>(&printed).ok(), Some(value));
    }
}
