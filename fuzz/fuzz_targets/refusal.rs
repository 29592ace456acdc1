//! [`trimtab_fuzz::refusal`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trimtab_fuzz::refusal(data));
