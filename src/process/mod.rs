//! State that belongs to one process, and synchronization of its threads.
//!
//! # Locks
//!
//! Ruby forks while it holds the GVL. So a lock that is only taken with the GVL, and released before Ruby runs again,
//! is free in every child. A lock that is taken without the GVL may stay locked in the child for ever, so the child
//! must never use what it guards. While a lock is held, nothing waits for the GVL, the network or another thread. All
//! locks:
//!
//! | lock | what it guards | GVL | locks taken meanwhile | in a forked child |
//! |---|---|---|---|---|
//! | `PerProcess` slot, `src/process/per_process.rs` | the value of this process | held | in a transport's: the slot and the list of `src/http/trust.rs`; in a child: `Pool.idle`, if it is free | free |
//! | `Known`, `src/http/trust.rs` | the trust anchors in use | held | `Authorities.loaded`, if it is free | a new one |
//! | `Authorities.loaded`, `src/http/trust.rs` | certificates; held while files are read | held or not | none | a new one |
//! | `Pool.idle`, `src/http/pool.rs` | idle connections | held or not | none | a new one |
//! | `Local.addresses` and `Local.experience`, `src/http/local.rs` | addresses of the server, and which of them failed | held or not | none | a new one |
//! | `Gate.sleeping`, `src/process/gate.rs` | the number of threads that sleep at the gate | not held on entering, held on leaving | none | a new one |
//! | `WAKERS`, `ext/simple_connect_client/src/wakers.rs` | unused pipes | held | none | free |
//! | `Latch`, `ext/simple_connect_client/src/wakers.rs` | the pipe of a look-up | held | none | free |
//! | `LENT`, `ext/simple_connect_client/src/raw.rs` | descriptors that batches wait for | held | none | free |
//! | `Limiter.state`, `src/webhook/limiter.rs` | permits, and the queue for them | held | none | free |
//! | `ReplayGuard.seen`, `src/webhook/replay.rs` | keys that were received | held | none | free |

pub mod fork;
pub mod gate;
pub mod per_process;
