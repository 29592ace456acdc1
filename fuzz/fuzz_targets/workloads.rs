//! [`trimtab_fuzz::workloads`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trimtab_fuzz::workloads(data));
