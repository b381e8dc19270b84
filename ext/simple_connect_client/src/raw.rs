//! All unsafe code of the project: what magnus has no safe API for.

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use magnus::rb_sys::{AsRawId, AsRawValue, FromRawValue, protect};
use magnus::value::IntoId;
use magnus::{Error, RString, Ruby, Symbol, TryConvert, Value};
use simple_connect_core::http::wait::{Interest, Waker};
use simple_connect_core::process::fork;

/// The payload of a panic.
pub type Panic = Box<dyn Any + Send>;

/// Calls `look` with the text of `string`, or None if it is not valid UTF-8 or US-ASCII.
///
/// `look` must not call Ruby: it gets no handle, and must not obtain one.
pub fn with_text<T>(string: RString, look: impl FnOnce(Option<&str>) -> T) -> T {
    // SAFETY: Ruby moves, changes or frees the text only while Ruby code runs, and none runs before `look` returns:
    // we hold the GVL, `look` does not call Ruby, and `string` is on the stack, so it is alive.
    look(unsafe { string.test_as_str() })
}

/// Calls `look` with the bytes of `string`. As in [`with_text`], `look` must not call Ruby.
pub fn with_bytes<T>(string: RString, look: impl FnOnce(&[u8]) -> T) -> T {
    // SAFETY: as in `with_text`.
    look(unsafe { string.as_slice() })
}

/// The whole text of `symbol`; magnus' own method stops at the first NUL.
///
/// # Errors
/// None: every Symbol has a String.
pub fn symbol_text(symbol: Symbol) -> Result<RString, Error> {
    // SAFETY: a caller with a Symbol holds the GVL; the function only reads, and it returns a value.
    RString::try_convert(unsafe { Value::from_raw(rb_sys::rb_sym2str(symbol.as_raw())) })
}

/// The arity of a method of `value`, as in `Method#arity`; 0 if there is no such method.
pub fn arity(ruby: &Ruby, value: Value, method: impl IntoId) -> i32 {
    // SAFETY: we hold the GVL; the function only reads method tables, and does not raise.
    unsafe { rb_sys::rb_obj_method_arity(value.as_raw(), method.into_id_with(ruby).as_raw()) }
}

/// The interned, frozen String of this text, as Ruby uses it for the keys of a Hash.
pub fn interned(_ruby: &Ruby, text: &str) -> Value {
    // SAFETY: we hold the GVL; Ruby copies the text by its length, and returns a value.
    unsafe {
        Value::from_raw(rb_sys::rb_enc_interned_str(
            text.as_ptr().cast(),
            text.len() as _,
            rb_sys::rb_utf8_encoding(),
        ))
    }
}

/// Runs `work` without the GVL, so that other Ruby threads run. Ruby wakes `waker` to interrupt this thread; `work`
/// should then return soon.
///
/// Returns None if `work` did not run because an interrupt was already pending; see [`check_interrupts`].
///
/// `Send` keeps Ruby's values out of `work`, because magnus' values are not `Send`.
///
/// # Errors
/// What `work` panicked with.
pub fn without_gvl<F, T>(_ruby: &Ruby, waker: &Waker, work: F) -> Result<Option<T>, Panic>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    struct Call<F, T> {
        work: Option<F>,
        outcome: Option<Result<T, Panic>>,
    }

    extern "C" fn run<F: FnOnce() -> T, T>(call: *mut c_void) -> *mut c_void {
        // SAFETY: `call` is the one below: it lives until rb_nogvl returns, and nothing else refers to it.
        let call = unsafe { &mut *call.cast::<Call<F, T>>() };
        // A panic must not unwind into Ruby's frames.
        call.outcome = call.work.take().map(|work| catch_unwind(AssertUnwindSafe(work)));
        std::ptr::null_mut()
    }

    extern "C" fn wake(waker: *mut c_void) {
        // SAFETY: `waker` is borrowed until rb_nogvl returns, and Ruby calls this only until then. Waking takes
        // `&self`, does not call Ruby and cannot panic. It is one write(2), so it is safe in signal handlers.
        unsafe { &*waker.cast::<Waker>() }.wake();
    }

    let mut call = Call { work: Some(work), outcome: None };
    // SAFETY: we hold the GVL (`_ruby` proves it). Both pointers outlive the call. RB_NOGVL_INTR_FAIL keeps Ruby from
    // checking for interrupts before or after `run`: that would longjmp over our frames and skip their destructors.
    // So does RB_NOGVL_UBF_ASYNC_SAFE: without it, Ruby 3.1 may start a thread to call `wake`, and checks for
    // interrupts when it joins that thread.
    let flags = rb_sys::RB_NOGVL_INTR_FAIL | rb_sys::RB_NOGVL_UBF_ASYNC_SAFE;
    // SAFETY: see above.
    unsafe {
        rb_sys::rb_nogvl(
            Some(run::<F, T>),
            (&raw mut call).cast(),
            Some(wake),
            std::ptr::from_ref(waker).cast_mut().cast(),
            flags as _,
        );
    }
    call.outcome.transpose()
}

/// Handles this thread's pending interrupts: runs signal handlers, and raises what `Thread#raise` left.
///
/// # Errors
/// What is raised, or the thread's kill.
pub fn check_interrupts(_ruby: &Ruby) -> Result<(), Error> {
    protect(|| {
        // SAFETY: we hold the GVL, and `protect` catches what it raises before it reaches our frames.
        unsafe { rb_sys::rb_thread_check_ints() };
        rb_sys::Qnil as rb_sys::VALUE
    })
    .map(drop)
}

/// The descriptors that deliveries of batches wait for.
static LENT: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Registers `fd` for [`with_lent`] while `wait` runs.
pub fn lend<T>(_ruby: &Ruby, fd: BorrowedFd<'_>, wait: impl FnOnce(RawFd) -> T) -> T {
    struct Loan(RawFd);

    impl Drop for Loan {
        fn drop(&mut self) {
            let mut lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(position) = lent.iter().position(|fd| *fd == self.0) {
                lent.swap_remove(position);
            }
        }
    }

    LENT.lock().unwrap_or_else(PoisonError::into_inner).push(fd.as_raw_fd());
    let loan = Loan(fd.as_raw_fd());
    wait(loan.0)
}

/// Calls `look` with these descriptors, which Ruby got from [`lend`].
///
/// # Errors
/// The first descriptor that is not lent.
pub fn with_lent<T>(
    _ruby: &Ruby,
    fds: &[(RawFd, Interest)],
    look: impl FnOnce(&[(BorrowedFd<'_>, Interest)]) -> T,
) -> Result<T, RawFd> {
    {
        let lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((unknown, _)) = fds.iter().find(|(fd, _)| !lent.contains(fd)) {
            return Err(*unknown);
        }
    }
    // SAFETY: the lender keeps the descriptor open until its `wait` returns. It is a fiber of a batch, which is
    // suspended while the batch polls. A fiber that is never resumed never closes the descriptor.
    let borrow = |(fd, interest): &(RawFd, Interest)| (unsafe { BorrowedFd::borrow_raw(*fd) }, *interest);
    Ok(look(&fds.iter().map(borrow).collect::<Vec<_>>()))
}

/// Waits on the current Fiber scheduler until `io` is ready for any of `events` (bits of `IO::READABLE` and
/// `IO::WRITABLE`).
///
/// # Errors
/// What is raised meanwhile.
pub fn wait_on_io(_ruby: &Ruby, io: Value, events: i32, timeout: Duration) -> Result<(), Error> {
    protect(|| {
        // SAFETY: we hold the GVL, `io` is alive on our stack, and `protect` catches what is raised. Another fiber
        // may run meanwhile, on a stack of its own.
        unsafe {
            let timeout = rb_sys::rb_float_new(timeout.as_secs_f64());
            rb_sys::rb_io_wait(io.as_raw(), rb_sys::rb_int2inum(events as isize), timeout)
        }
    })
    .map(drop)
}

/// The Fiber scheduler of the current fiber; None for a blocking fiber.
pub fn fiber_scheduler(_ruby: &Ruby) -> Option<Value> {
    // SAFETY: we hold the GVL; the function only reads, and returns a value or nil.
    let scheduler = unsafe { Value::from_raw(rb_sys::rb_fiber_scheduler_current()) };
    (!magnus::value::ReprValue::is_nil(scheduler)).then_some(scheduler)
}

/// Registers a fork handler, so that [`fork::generation`] counts forks. Without one, it uses process ids.
pub fn count_forks() {
    // SAFETY: this is its signature in POSIX. It keeps the functions, which live as long as this library.
    unsafe extern "C" {
        safe fn pthread_atfork(
            prepare: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> c_int;
    }
    if pthread_atfork(None, None, Some(fork::forked)) == 0 {
        fork::count();
    }
}

/// The version of the running Ruby, such as `3.4`. Safe to call even in a Ruby the extension was not compiled for.
pub fn running_ruby() -> String {
    // SAFETY: three integers that every Ruby exports and never changes.
    let [major, minor, _] = unsafe { rb_sys::ruby_api_version };
    format!("{major}.{minor}")
}

/// RubyGems before 3.4.6 (Debian 12 has 3.3.15) names the library after the gem, and Ruby then looks for this symbol.
// SAFETY: the name has a dash, so no other function has it.
#[unsafe(export_name = "Init_simple_connect-client")]
extern "C" fn init_with_a_dash() {
    unsafe extern "C" {
        fn Init_simple_connect_client();
    }
    // SAFETY: the function that #[magnus::init] defines, called as Ruby calls it: with the GVL, while the library
    // loads.
    unsafe { Init_simple_connect_client() }
}
