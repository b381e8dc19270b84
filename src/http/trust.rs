//! Whom to trust with TLS: certificate authorities, read from the disk once for a process and shared by its clients.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::{env, fmt, fs, io};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::http::pem;
use crate::http::tls::TlsError;
use crate::process::per_process::{Abandon, PerProcess};

/// A file that was written less than so many seconds ago may be written again without a sign of it.
const SETTLED: i64 = 2;
/// The authorities of so many trusts are kept although nobody uses them at the moment.
const MOST_UNUSED: usize = 8;
/// How many things that are wrong with files an error tells of.
const MOST_NOTES: usize = 3;

/// Which certificate authorities to trust.
///
/// As with OpenSSL, `SSL_CERT_FILE` and `SSL_CERT_DIR` each stand in for the system's own file or directory;
/// the additional certificates come on top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    dirs: Vec<Place>,
    file: Option<Place>,
    additional: Option<Place>,
    /// What the additional file held when this was made.
    certificates: Arc<Vec<CertificateDer<'static>>>,
}

/// A file or a directory, and the variable that names it, if one does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    variable: Option<&'static str>,
    path: PathBuf,
}

impl Place {
    fn new(variable: Option<&'static str>, path: impl Into<PathBuf>) -> Self {
        Self { variable, path: path.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.variable {
            Some(variable) => write!(formatter, "{variable} ({})", self.path.display()),
            None => write!(formatter, "{}", self.path.display()),
        }
    }
}

/// A file as it was when it was looked at, or the number of the error that came of looking.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    place: Place,
    state: Result<Stamp, i32>,
}

/// A look at all there is to read.
#[derive(Debug, PartialEq, Eq)]
struct Survey {
    /// The files and directories that were named.
    named: Vec<Seen>,
    /// What lies in the directories.
    entries: Vec<Seen>,
}

/// What changes when a file does.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    id: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl Seen {
    fn at(place: Place) -> Self {
        let state = fs::metadata(&place.path).map(|data| Stamp {
            id: (data.dev(), data.ino()),
            size: data.size(),
            changed: (data.ctime(), data.ctime_nsec()),
        });
        Self { place, state: state.map_err(|error| number(&error)) }
    }
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or_default()
}

/// Whether there is no file there.
fn is_elsewhere(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory)
}

/// Whether the error is about the file and not about the moment.
fn is_lasting(error: &io::Error) -> bool {
    is_elsewhere(error) || error.kind() == io::ErrorKind::PermissionDenied
}

impl Trust {
    /// The system's authorities, and those in `ca_file` (PEM). Reads the environment and `ca_file`, not yet the
    /// system's certificates.
    ///
    /// # Errors
    /// [`TlsError::CaFile`] where not all of `ca_file` can be read, or it holds no certificate.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let file = match env::var_os("SSL_CERT_FILE") {
            Some(file) => Some(Place::new(Some("SSL_CERT_FILE"), file)),
            None => openssl_probe::probe().cert_file.map(|file| Place::new(None, file)),
        };
        let dirs = match env::var_os("SSL_CERT_DIR") {
            Some(dirs) => env::split_paths(&dirs)
                .filter(|dir| !dir.as_os_str().is_empty())
                .map(|dir| Place::new(Some("SSL_CERT_DIR"), dir))
                .collect(),
            None => openssl_probe::candidate_cert_dirs().map(|dir| Place::new(None, dir)).collect(),
        };
        let certificates = Arc::new(ca_file.map(read_whole).transpose()?.unwrap_or_default());
        Ok(Self { dirs, file, additional: ca_file.map(|path| Place::new(None, path)), certificates })
    }

    /// Trust in these and nobody else.
    #[cfg(test)]
    pub(crate) fn in_these(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self {
            additional: Some(Place::new(None, "")),
            certificates: Arc::new(certificates),
            ..Self::default()
        }
    }

    /// What was named, as it is now.
    fn named(&self) -> Vec<Seen> {
        self.dirs.iter().chain(&self.additional).chain(&self.file).cloned().map(Seen::at).collect()
    }

    /// All that there are certificates in, as it is now.
    fn survey(&self) -> Survey {
        let (mut named, mut entries) = (self.named(), Vec::new());
        for dir in named.iter_mut().take(self.dirs.len()) {
            let paths = fs::read_dir(&dir.place.path)
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>());
            match paths {
                Ok(paths) => entries.extend(paths.into_iter().map(|path| Seen::at(Place::new(None, path)))),
                Err(error) => dir.state = Err(number(&error)),
            }
        }
        // In whatever order the directories list them.
        entries.sort_by(|one, other| one.place.path.cmp(&other.place.path));
        Survey { named, entries }
    }

    /// Reads the files; `additional` is what the additional file held before.
    fn load(&self, survey: Survey, mut additional: Arc<Vec<CertificateDer<'static>>>) -> Loaded {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let (mut settled, mut lacked, mut notes) = (true, None, Vec::new());
        let (mut certificates, mut known) = (Vec::new(), HashSet::new());
        // What lies in a directory may be what was named.
        let named = survey.named.iter().map(|seen| (seen, true));
        for (Seen { place, state }, named) in named.chain(survey.entries.iter().map(|seen| (seen, false))) {
            settled &= state.as_ref().map_or(true, |stamp| stamp.changed.0 < now - SETTLED);
            let bytes = match state {
                Ok(_) if named && self.dirs.contains(place) => continue,
                // There may be several links to a file.
                Ok(stamp) if !known.insert(stamp.id) => continue,
                Ok(_) => fs::read(&place.path),
                Err(number) => Err(io::Error::from_raw_os_error(*number)),
            };
            let (found, problems) = match bytes {
                Ok(bytes) => match pem::certificates(&bytes) {
                    (found, problems) if named && found.is_empty() && problems.is_empty() => {
                        (found, vec![pem::NONE.to_owned()])
                    }
                    read => read,
                },
                // In a directory there may be links that lead nowhere, and directories.
                Err(error) if !named && is_elsewhere(&error) => continue,
                Err(error) => {
                    lacked = lacked.or_else(|| (!is_lasting(&error)).then(|| number(&error)));
                    (Vec::new(), vec![format!("it cannot be read: {error}")])
                }
            };
            match Some(place) == self.additional.as_ref() {
                false => certificates.extend(found),
                true if problems.is_empty() => additional = Arc::new(found),
                // It may be in the midst of being replaced: what it last held counts.
                true => {}
            }
            notes.extend(problems.into_iter().map(|problem| format!("{place}: {problem}")));
        }
        if cfg!(any(target_os = "macos", windows)) {
            certificates.extend(rustls_native_certs::load_native_certs().certs);
        }
        certificates.extend(additional.iter().cloned());
        certificates.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
        certificates.dedup();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        Loaded { certificates, additional, roots, survey, settled, lacked, notes: listed(&notes) }
    }
}

/// All certificates in the file at `path`.
fn read_whole(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::CaFile { path: path.to_owned(), reason };
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let (certificates, problems) = pem::certificates(&bytes);
    match problems.into_iter().next() {
        Some(problem) => Err(failed(problem)),
        None if certificates.is_empty() => Err(failed(pem::NONE.to_owned())),
        None => Ok(certificates),
    }
}

/// The first of `notes`, as one text.
fn listed(notes: &[String]) -> String {
    let mut text = notes.iter().take(MOST_NOTES).map(String::as_str).collect::<Vec<_>>().join("; ");
    if let Some(more) = notes.len().checked_sub(MOST_NOTES).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// What came of reading certificates.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Each once, and in order.
    certificates: Vec<CertificateDer<'static>>,
    /// What the additional file held when it was last read whole.
    additional: Arc<Vec<CertificateDer<'static>>>,
    pub(crate) roots: RootCertStore,
    /// The files, as they were before they were read.
    survey: Survey,
    /// Whether they had been so for long enough to tell a change.
    settled: bool,
    /// The number of an error of the moment that kept something from being read.
    pub(crate) lacked: Option<i32>,
    /// What could not be read.
    pub(crate) notes: String,
}

impl Loaded {
    /// Whether this very certificate is trusted.
    pub(crate) fn names(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.binary_search_by(|one| one.as_ref().cmp(certificate.as_ref())).is_ok()
    }
}

/// Whose authorities there are in a process.
#[derive(Default)]
struct Known(Mutex<Vec<Arc<Authorities>>>);

impl Abandon for Known {}

/// The authorities of a [`Trust`]: read when they are first needed, and again when they may have changed.
///
/// Belongs to a process: its lock is held while files are read, and a fork does not wait for that.
#[derive(Debug)]
pub(crate) struct Authorities {
    trust: Trust,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

impl Authorities {
    /// Those of `trust`, the same for all who ask in this process.
    ///
    /// Use it where no other thread may fork, as [`PerProcess`].
    pub(crate) fn of(trust: &Trust) -> Arc<Self> {
        static KNOWN: PerProcess<Known> = PerProcess::new();
        let known = KNOWN.get(Known::default);
        let mut known = known.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has them goes on with them; whoever comes now is to have what the files say now.
        known.retain(|authorities| authorities.trust != *trust || authorities.is_current());
        if let Some(authorities) = known.iter().find(|authorities| authorities.trust == *trust) {
            return authorities.clone();
        }
        let mut unused = known.iter().filter(|authorities| Arc::strong_count(authorities) == 1).count();
        known.retain(|authorities| {
            let surplus = Arc::strong_count(authorities) == 1 && unused >= MOST_UNUSED;
            unused -= usize::from(surplus);
            !surplus
        });
        known.push(Arc::new(Self { trust: trust.clone(), loaded: Mutex::default() }));
        known[known.len() - 1].clone()
    }

    /// Whether the files that were named are as they were when they were read. Takes as many system calls as there are.
    fn is_current(&self) -> bool {
        // They are, where they are being read at the moment: nobody waits for that here.
        self.loaded
            .try_lock()
            .ok()
            .and_then(|loaded| loaded.clone())
            .is_none_or(|loaded| loaded.settled && loaded.survey.named == self.trust.named())
    }

    /// What was read, now or earlier.
    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        let mut slot = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*slot {
            return loaded.clone();
        }
        let loaded = Arc::new(self.trust.load(self.trust.survey(), self.trust.certificates.clone()));
        // That there is nothing need not be so the next time.
        if !loaded.roots.is_empty() {
            *slot = Some(loaded.clone());
        }
        loaded
    }

    /// What is there now that was not in `old`; None where nothing has changed.
    pub(crate) fn newer(&self, old: &Arc<Loaded>) -> Option<Arc<Loaded>> {
        let survey = self.trust.survey();
        if old.settled && old.lacked.is_none() && old.survey == survey {
            return None;
        }
        let mut slot = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newer) = slot.as_ref().filter(|loaded| !Arc::ptr_eq(loaded, old)) {
            return Some(newer.clone());
        }
        let loaded = Arc::new(self.trust.load(survey, old.additional.clone()));
        // Rather what was complete once than what cannot be read at the moment.
        if loaded.lacked.is_none() && !loaded.roots.is_empty() {
            *slot = Some(loaded.clone());
        }
        Some(loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory for one test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("simple_connect_core-{}-{number}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn authority() -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn named(variable: &'static str, path: &Path) -> Option<Place> {
        Some(Place::new(Some(variable), path))
    }

    /// As long after it was made as it takes to tell changes.
    fn settled(loaded: &Arc<Loaded>) -> Arc<Loaded> {
        let again = |seen: &Vec<Seen>| seen.iter().map(|seen| Seen::at(seen.place.clone())).collect();
        Arc::new(Loaded {
            certificates: loaded.certificates.clone(),
            additional: loaded.additional.clone(),
            roots: loaded.roots.clone(),
            survey: Survey { named: again(&loaded.survey.named), entries: again(&loaded.survey.entries) },
            settled: true,
            lacked: loaded.lacked,
            notes: String::new(),
        })
    }

    #[test]
    fn what_is_in_several_places_is_trusted_once() {
        let folder = Folder::new();
        let (one, other) = (authority(), authority());
        let file = folder.write("bundle.pem", format!("{one}{other}{one}"));
        folder.write("one.pem", &one);
        folder.write("README", "no certificate");
        std::os::unix::fs::symlink("one.pem", folder.0.join("12345678.0")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.0.join("87654321.0")).unwrap();
        fs::create_dir(folder.0.join("directory")).unwrap();
        let trust = Trust {
            dirs: vec![Place::new(None, &folder.0)],
            file: named("SSL_CERT_FILE", &file),
            ..Trust::default()
        };
        let loaded = trust.load(trust.survey(), Arc::default());
        assert_eq!((loaded.certificates.len(), loaded.roots.len()), (2, 2));
        assert_eq!((loaded.notes.as_str(), loaded.lacked), ("", None));
    }

    #[test]
    fn clients_with_the_same_trust_share_what_was_read() {
        let folder = Folder::new();
        let file = folder.write("ca.pem", authority());
        let trust = Trust::new(Some(&file)).unwrap();
        let shared = Authorities::of(&trust);
        assert!(Arc::ptr_eq(&shared, &Authorities::of(&Trust::new(Some(&file)).unwrap())));
        let loaded = settled(&shared.loaded());
        *shared.loaded.lock().unwrap() = Some(loaded.clone());
        assert!(Arc::ptr_eq(&loaded, &Authorities::of(&trust).loaded()));
        // A client that is made when the file has changed knows what it says now, also where it had been so before.
        let text = fs::read(&file).unwrap();
        folder.write("ca.pem", authority());
        assert!(!Arc::ptr_eq(&shared, &Authorities::of(&Trust::new(Some(&file)).unwrap())));
        folder.write("ca.pem", text);
        assert_eq!(Trust::new(Some(&file)).unwrap(), trust);
        let anew = Authorities::of(&trust);
        assert!(!Arc::ptr_eq(&shared, &anew));
        // Those that nobody uses are not kept for ever.
        let unused =
            Arc::downgrade(&Authorities::of(&Trust { additional: named("unused", &file), ..trust.clone() }));
        for number in 0..=MOST_UNUSED {
            let path = folder.0.join(number.to_string());
            Authorities::of(&Trust { additional: named("other", &path), ..trust.clone() });
        }
        assert!(unused.upgrade().is_none());
        assert!(Arc::ptr_eq(&anew, &Authorities::of(&trust)));
    }

    #[test]
    fn what_changes_is_read_again_and_nothing_else() {
        let folder = Folder::new();
        let certificate = authority();
        let file = folder.write("ca.pem", &certificate);
        let trust = Trust { dirs: vec![Place::new(None, &folder.0)], ..Trust::default() };
        let authorities = Authorities { trust, loaded: Mutex::default() };
        let first = authorities.loaded();
        // It was written just now, and could be again without a sign of it.
        assert!(!first.settled && authorities.newer(&first).is_some());
        let known = settled(&authorities.loaded());
        *authorities.loaded.lock().unwrap() = Some(known.clone());
        assert!(authorities.newer(&known).is_none());

        folder.write("another.pem", authority());
        let newer = authorities.newer(&known).unwrap();
        assert_eq!(newer.roots.len(), 2);
        // Whoever comes with the old one gets what another has read.
        assert!(Arc::ptr_eq(&newer, &authorities.newer(&known).unwrap()));
        assert!(Arc::ptr_eq(&newer, &authorities.loaded()));

        // As it was, but for its time.
        let known = settled(&newer);
        *authorities.loaded.lock().unwrap() = Some(known.clone());
        fs::write(&file, &certificate).unwrap();
        assert!(authorities.newer(&known).is_some());
    }

    #[test]
    fn what_cannot_be_read_is_told_and_not_remembered() {
        let folder = Folder::new();
        let missing = folder.0.join("missing.pem");
        let trust = Trust {
            dirs: vec![Place::new(Some("SSL_CERT_DIR"), folder.0.join("none"))],
            file: named("SSL_CERT_FILE", &missing),
            ..Trust::default()
        };
        let authorities = Authorities { trust, loaded: Mutex::default() };
        let nothing = authorities.loaded();
        let place = folder.0.display();
        assert_eq!(
            nothing.notes,
            format!(
                "SSL_CERT_DIR ({place}/none): it cannot be read: No such file or directory (os error 2); \
                 SSL_CERT_FILE ({place}/missing.pem): it cannot be read: No such file or directory (os error 2)"
            )
        );
        folder.write("missing.pem", authority());
        assert_eq!(authorities.loaded().roots.len(), 1);
        // Where it is gone again, better the old than none.
        fs::remove_file(&missing).unwrap();
        assert!(authorities.newer(&authorities.loaded()).unwrap().roots.is_empty());
        assert_eq!(authorities.loaded().roots.len(), 1);
    }

    #[test]
    fn an_error_of_the_moment_makes_what_was_read_incomplete() {
        let folder = Folder::new();
        let file = folder.write("ca.pem", authority());
        let trust = Trust { file: named("SSL_CERT_FILE", &file), ..Trust::default() };
        let mut survey = trust.survey();
        let exhausted = rustix::io::Errno::MFILE.raw_os_error();
        survey.entries.push(Seen { place: Place::new(None, "/etc/ssl"), state: Err(exhausted) });
        let loaded = trust.load(survey, Arc::default());
        assert_eq!(loaded.lacked, Some(exhausted));
        assert_eq!(loaded.notes, "/etc/ssl: it cannot be read: Too many open files (os error 24)");
        // So it is read again, although nothing has changed since.
        let mut known =
            Arc::into_inner(settled(&Arc::new(trust.load(trust.survey(), Arc::default())))).unwrap();
        known.lacked = Some(exhausted);
        let authorities = Authorities { trust, loaded: Mutex::new(Some(Arc::new(known))) };
        assert_eq!(authorities.newer(&authorities.loaded()).unwrap().lacked, None);
    }

    #[test]
    fn an_additional_file_that_breaks_is_as_it_was_before() {
        let folder = Folder::new();
        let file = folder.write("ca.pem", authority());
        // Also where the system has it, too.
        let dirs = vec![Place::new(None, &folder.0)];
        let trust = Trust { dirs, file: named("SSL_CERT_FILE", &file), ..Trust::new(Some(&file)).unwrap() };
        for text in ["-----BEGIN CERTIFICATE-----\nMII", ""] {
            folder.write("ca.pem", text);
            let loaded = trust.load(trust.survey(), trust.certificates.clone());
            assert_eq!(loaded.certificates, *trust.certificates);
            assert!(loaded.notes.starts_with(&file.display().to_string()), "{}", loaded.notes);
        }
    }

    #[test]
    fn only_the_first_of_many_notes_are_told() {
        let notes = |count: usize| listed(&(1..=count).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(notes(0), "");
        assert_eq!(notes(3), "1; 2; 3");
        assert_eq!(notes(300), "1; 2; 3; and 297 more");
    }
}
