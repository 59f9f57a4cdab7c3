//! T3: policies, larval SAs and their events against this kernel, each test in a network namespace of its own.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect, in its helpers too")]

mod events;
mod links;
mod policies;
mod sas;
mod world;
