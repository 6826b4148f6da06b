//! What happened lately, as plain values: the last N calls, and the last T of time.
//!
//! Both are O(1) a call, take constant memory, and truly slide: what leaves the window is taken off, whatever came
//! before it.

mod count;
mod rolling;

pub use count::CountWindow;
pub use rolling::RollingWindow;
