//! What belongs to one process, and how its threads take turns.

pub mod gate;
pub mod per_process;
