//! A seal vouches for one record and no other.

use proptest::prelude::*;
use trimtab_delivery::seal::{SealKey, Sealed};

const RECORD: Sealed<'_> = Sealed {
    namespace: "shop",
    service: "pay",
    number: 7,
    target_uid: "5c7b52b4-3a55-4b5f-8c1a-111111111111",
    template: br#"{"spec":{"containers":[]}}"#,
};

#[test]
fn a_seal_is_hmac_sha256_over_counted_fields() {
    // Computed with another implementation: Python's hmac.new(bytes([7]) * 32, ..., "sha256").
    let seal = SealKey::new([7; 32]).seal(&RECORD);
    assert_eq!(seal, "15d0c679d0e3e297a248d8e8feae42883cdae026f7e0ecb8d2ddd21384edf628");
}

#[test]
fn nothing_of_a_sealed_record_can_be_another() {
    let key = SealKey::new([7; 32]);
    let seal = key.seal(&RECORD);
    assert!(key.verifies(&RECORD, &seal));
    let others = [
        Sealed { namespace: "shopp", service: "ay", ..RECORD },
        Sealed { service: "refunds", ..RECORD },
        Sealed { number: 8, ..RECORD },
        Sealed { target_uid: "", ..RECORD },
        Sealed { template: br#"{"spec":{"containers":[],"hostPID":true}}"#, ..RECORD },
    ];
    for other in others {
        assert!(!key.verifies(&other, &seal), "{other:?}");
    }
    assert!(!SealKey::new([8; 32]).verifies(&RECORD, &seal), "another key");
    assert_eq!(format!("{key:?}"), "SealKey", "a key is not printed");
}

proptest! {
    #[test]
    fn no_text_passes_for_a_seal(text in ".{0,80}") {
        prop_assert!(!SealKey::new([7; 32]).verifies(&RECORD, &text));
    }
}
