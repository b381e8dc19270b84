#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| simple_connect_core::http::fuzzing::tls(input));
