//! [`trimtab_fuzz::promql`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trimtab_fuzz::promql(data));
