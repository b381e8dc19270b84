//! What belongs to one process, and how its threads take turns.

pub mod fork;
pub mod gate;
pub mod per_process;
