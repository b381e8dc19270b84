//! All the unsafe code there is: the few things that magnus cannot offer safely.

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

/// What a panic leaves behind.
pub type Panic = Box<dyn Any + Send>;

/// Shows `look` the text of `string`, or None where it is not valid UTF-8 (or US-ASCII).
///
/// `look` cannot reach Ruby: it gets no handle, and must not get itself one.
pub fn with_text<T>(string: RString, look: impl FnOnce(Option<&str>) -> T) -> T {
    // SAFETY: Ruby may move, change or free the text only while it runs, and it does not run before `look` returns:
    // we hold the GVL, `look` calls nothing of Ruby's, and `string` is on the stack, so it is alive.
    look(unsafe { string.test_as_str() })
}

/// Shows `look` the bytes of `string`. As for [`with_text`], `look` must not reach Ruby.
pub fn with_bytes<T>(string: RString, look: impl FnOnce(&[u8]) -> T) -> T {
    // SAFETY: as in `with_text`.
    look(unsafe { string.as_slice() })
}

/// The text of `symbol`. Magnus reads it as C does, up to the first NUL.
///
/// # Errors
/// None: for every symbol Ruby has its String.
pub fn symbol_text(symbol: Symbol) -> Result<RString, Error> {
    // SAFETY: whoever has a symbol holds the GVL; the function only reads, and what it returns is a value.
    RString::try_convert(unsafe { Value::from_raw(rb_sys::rb_sym2str(symbol.as_raw())) })
}

/// How many arguments the method of `value` takes, as `Method#arity` has it; 0 where there is none of this name.
pub fn arity(ruby: &Ruby, value: Value, method: impl IntoId) -> i32 {
    // SAFETY: we hold the GVL; the function only looks into the tables of methods, and raises nothing.
    unsafe { rb_sys::rb_obj_method_arity(value.as_raw(), method.into_id_with(ruby).as_raw()) }
}

/// The one frozen String that Ruby keeps for this text, as for the keys of a Hash.
pub fn interned(_ruby: &Ruby, text: &str) -> Value {
    // SAFETY: we hold the GVL; Ruby copies the text, whose length is given, and what it returns is a value.
    unsafe {
        Value::from_raw(rb_sys::rb_enc_interned_str(
            text.as_ptr().cast(),
            text.len() as _,
            rb_sys::rb_utf8_encoding(),
        ))
    }
}

/// Runs `work` without the GVL, so that other Ruby threads go on. Whoever wants this thread's attention meanwhile
/// calls `waker`; `work` should then return soon.
///
/// None: `work` did not run at all, because somebody wanted attention already. See [`check_interrupts`].
///
/// `Send` keeps Ruby's values out of `work`: magnus' are not `Send`.
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
        // SAFETY: `call` is the one below, alive until rb_nogvl returns, and nobody else has it.
        let call = unsafe { &mut *call.cast::<Call<F, T>>() };
        // A panic must not unwind into Ruby's frames.
        call.outcome = call.work.take().map(|work| catch_unwind(AssertUnwindSafe(work)));
        std::ptr::null_mut()
    }

    extern "C" fn wake(waker: *mut c_void) {
        // SAFETY: `waker` is borrowed until rb_nogvl returns, and Ruby calls this only until then. Waking takes
        // `&self`, calls nothing of Ruby's and cannot panic. It is one write(2), so signal handlers may do it, too.
        unsafe { &*waker.cast::<Waker>() }.wake();
    }

    let mut call = Call { work: Some(work), outcome: None };
    // SAFETY: we hold the GVL (`_ruby` proves it). Both pointers outlive the call. RB_NOGVL_INTR_FAIL keeps Ruby from
    // checking for interrupts before or behind `run`: that would longjmp over our frames and skip their destructors.
    // So does RB_NOGVL_UBF_ASYNC_SAFE: without it Ruby 3.1 starts a thread to call `wake`, if there is no other thread
    // yet, and checks for interrupts when it joins that.
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

/// Does what this thread has been asked to do meanwhile: run signal handlers, raise what was raised at it.
///
/// # Errors
/// What was raised, or that the thread is being killed.
pub fn check_interrupts(_ruby: &Ruby) -> Result<(), Error> {
    protect(|| {
        // SAFETY: we hold the GVL, and `protect` catches what it raises before it reaches our frames.
        unsafe { rb_sys::rb_thread_check_ints() };
        rb_sys::Qnil as rb_sys::VALUE
    })
    .map(drop)
}

/// The descriptors that deliveries wait for in batches.
static LENT: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Has [`with_lent`] know `fd` as long as `wait` runs.
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

/// Gives `look` these descriptors, which Ruby has passed on from [`lend`].
///
/// # Errors
/// One that is not lent.
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
    // SAFETY: who lends a descriptor keeps it open until `wait` returns, and that is the fiber of a batch, which is
    // suspended as long as the batch polls. A fiber that never goes on never closes it.
    let borrow = |(fd, interest): &(RawFd, Interest)| (unsafe { BorrowedFd::borrow_raw(*fd) }, *interest);
    Ok(look(&fds.iter().map(borrow).collect::<Vec<_>>()))
}

/// Waits on `io` as the current Fiber scheduler does, for any of `events` (bits of `IO::READABLE` and `IO::WRITABLE`).
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

/// The Fiber scheduler that the current fiber waits with, if there is one.
pub fn fiber_scheduler(_ruby: &Ruby) -> Option<Value> {
    // SAFETY: we hold the GVL; the function only reads, and what it returns is a value or nil.
    let scheduler = unsafe { Value::from_raw(rb_sys::rb_fiber_scheduler_current()) };
    (!magnus::value::ReprValue::is_nil(scheduler)).then_some(scheduler)
}

/// Has [`fork::generation`] count forks, where the system allows; else it goes by process ids.
pub fn count_forks() {
    // SAFETY: this is its signature in POSIX; it keeps the functions, which live as long as this library.
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

/// The version of the Ruby that runs, such as `3.4`. Can be asked before anything else may be.
pub fn running_ruby() -> String {
    // SAFETY: three integers that every Ruby exports, and never changes.
    let [major, minor, _] = unsafe { rb_sys::ruby_api_version };
    format!("{major}.{minor}")
}

/// RubyGems before 3.4.6 (Debian 12 has 3.3.15) names the library after the gem, and Ruby then asks for this symbol.
// SAFETY: nothing else can have a name with a dash in it.
#[unsafe(export_name = "Init_simple_connect-client")]
extern "C" fn init_with_a_dash() {
    unsafe extern "C" {
        fn Init_simple_connect_client();
    }
    // SAFETY: the function that #[magnus::init] makes, called as Ruby would: with the GVL, while the library loads.
    unsafe { Init_simple_connect_client() }
}
