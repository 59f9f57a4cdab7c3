//! The verifier of the running kernel takes every program, in every variant.

use esp_tests::kernel::{Constants, Kernel};

#[test]
#[ignore = "T2: root, bpf"]
fn every_variant_of_every_program_is_accepted() {
    for outer_at_tc in [false, true] {
        for no_ethernet in [false, true] {
            let constants = Constants { outer_at_tc, no_ethernet, ..Constants::default() };
            let kernel = Kernel::load(constants).unwrap_or_else(|error| panic!("{constants:?}: {error:?}"));
            for (_, program) in kernel.ebpf().programs() {
                let info = program.info().expect("program info");
                let name = info.name_as_str().unwrap_or_default();
                let verified = info.verified_instruction_count().unwrap_or_default();
                assert!(verified < 1_000_000, "{name}");
                eprintln!(
                    "{name}: {verified} instructions verified, {:?} translated ({constants:?})",
                    info.size_translated()
                );
            }
        }
    }
}
