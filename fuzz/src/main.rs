//! libFuzzer on the fuzz target that `PODBOND_FUZZ_TARGET` names; built by `cargo xtask fuzz`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod engine {
    use std::{env, sync::LazyLock};

    use podbond_fuzz::{Target, target};

    static TARGET: LazyLock<Target> = LazyLock::new(|| {
        let name = env::var("PODBOND_FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| panic!("no fuzz target {name:?}"))
    });

    libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
}

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("podbond-fuzz has no fuzzing engine in it: run `cargo xtask fuzz`");
}
