//! Sliding windows as plain values: the last N calls, and the last T of time.
//!
//! Both take O(1) a call and constant memory, and they really slide: each event leaves the window by itself.

mod count;
mod rolling;

pub use count::CountWindow;
pub use rolling::RollingWindow;
