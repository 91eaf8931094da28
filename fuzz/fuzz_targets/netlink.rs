//! Datagrams from the kernel's routing socket.

#![no_main]

libfuzzer_sys::fuzz_target!(|datagram: &[u8]| podbond_kernel::fuzzing::answer(datagram));
