//! [`trimtab_fuzz::quantity`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trimtab_fuzz::quantity(data));
