//! The selectors: what may come in the clear, what may leave in the clear, what an SA may carry.

mod clear;
mod demand;
mod inner;
mod select;

pub use clear::{clear_in, clear_out};
pub use demand::{Found, demands};
pub use inner::inner;
