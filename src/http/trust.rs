//! Trusted certificate authorities: read from disk once per process, and shared by its clients.

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

/// A file that changed less than this many seconds ago may change again with the same time stamp.
const SETTLED: i64 = 2;
/// The maximum number of unused authorities that are kept.
const MOST_UNUSED: usize = 8;
/// The maximum number of files' problems in an error.
const MOST_NOTES: usize = 3;

/// Which certificate authorities to trust.
///
/// Like in OpenSSL, `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's file and directories. The additional
/// certificates are trusted, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    dirs: Vec<Place>,
    file: Option<Place>,
    additional: Option<Place>,
    /// The content of the additional file when this was created.
    certificates: Arc<Vec<CertificateDer<'static>>>,
}

/// A file or a directory, and the environment variable that sets it, if any.
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

/// The state of a file, or the number of the error from reading its state.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    place: Place,
    state: Result<Stamp, i32>,
}

/// The state of all files to read.
#[derive(Debug, PartialEq, Eq)]
struct Survey {
    /// The configured files and directories.
    named: Vec<Seen>,
    /// The entries of the directories.
    entries: Vec<Seen>,
}

/// Identifies a version of a file.
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

/// Whether the error means that there is no regular file.
fn is_elsewhere(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory)
}

/// Whether the error is permanent, not temporary such as a lack of descriptors.
fn is_lasting(error: &io::Error) -> bool {
    is_elsewhere(error) || error.kind() == io::ErrorKind::PermissionDenied
}

impl Trust {
    /// The system's authorities, and those in `ca_file` (PEM). Reads the environment and `ca_file`, but not the
    /// system's certificates.
    ///
    /// # Errors
    /// [`TlsError::CaFile`] if `ca_file` cannot be read completely, or contains no certificate.
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

    /// Trusts only these certificates.
    #[cfg(test)]
    pub(crate) fn in_these(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self {
            additional: Some(Place::new(None, "")),
            certificates: Arc::new(certificates),
            ..Self::default()
        }
    }

    /// The current state of the configured files and directories.
    fn named(&self) -> Vec<Seen> {
        self.dirs.iter().chain(&self.additional).chain(&self.file).cloned().map(Seen::at).collect()
    }

    /// The current state of all files to read.
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
        // The order of directory entries is not stable.
        entries.sort_by(|one, other| one.place.path.cmp(&other.place.path));
        Survey { named, entries }
    }

    /// Reads the files. `additional` is the previous content of the additional file.
    fn load(&self, survey: Survey, mut additional: Arc<Vec<CertificateDer<'static>>>) -> Loaded {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let (mut settled, mut lacked, mut notes) = (true, None, Vec::new());
        let (mut certificates, mut known) = (Vec::new(), HashSet::new());
        // Configured files first: a directory may contain them, too, and each file is read once.
        let named = survey.named.iter().map(|seen| (seen, true));
        for (Seen { place, state }, named) in named.chain(survey.entries.iter().map(|seen| (seen, false))) {
            settled &= state.as_ref().map_or(true, |stamp| stamp.changed.0 < now - SETTLED);
            let bytes = match state {
                Ok(_) if named && self.dirs.contains(place) => continue,
                // Several links may lead to a file.
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
                // A directory may contain broken links and directories.
                Err(error) if !named && is_elsewhere(&error) => continue,
                Err(error) => {
                    lacked = lacked.or_else(|| (!is_lasting(&error)).then(|| number(&error)));
                    (Vec::new(), vec![format!("it cannot be read: {error}")])
                }
            };
            match Some(place) == self.additional.as_ref() {
                false => certificates.extend(found),
                true if problems.is_empty() => additional = Arc::new(found),
                // The file may be being replaced, so keep its previous content.
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

/// The first few of `notes`, joined.
fn listed(notes: &[String]) -> String {
    let mut text = notes.iter().take(MOST_NOTES).map(String::as_str).collect::<Vec<_>>().join("; ");
    if let Some(more) = notes.len().checked_sub(MOST_NOTES).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// The certificates that were read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Sorted, without duplicates.
    certificates: Vec<CertificateDer<'static>>,
    /// The content of the additional file when it was last read completely.
    additional: Arc<Vec<CertificateDer<'static>>>,
    pub(crate) roots: RootCertStore,
    /// The state of the files before they were read.
    survey: Survey,
    /// Whether the files are old enough for changes to be detected.
    settled: bool,
    /// The number of a temporary error because of which a file could not be read.
    pub(crate) lacked: Option<i32>,
    /// The files that could not be read, and why.
    pub(crate) notes: String,
}

impl Loaded {
    /// Whether this certificate itself is trusted.
    pub(crate) fn names(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.binary_search_by(|one| one.as_ref().cmp(certificate.as_ref())).is_ok()
    }
}

/// All authorities of a process.
#[derive(Default)]
struct Known(Mutex<Vec<Arc<Authorities>>>);

impl Abandon for Known {}

/// The authorities of a [`Trust`]: read when first needed, and again when they may have changed.
///
/// Belongs to one process: its lock is held while files are read, and a fork does not wait for that.
#[derive(Debug)]
pub(crate) struct Authorities {
    trust: Trust,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

impl Authorities {
    /// The authorities of `trust`, shared in this process.
    ///
    /// Like [`PerProcess`], call it only where no other thread can fork.
    pub(crate) fn of(trust: &Trust) -> Arc<Self> {
        static KNOWN: PerProcess<Known> = PerProcess::new();
        let known = KNOWN.get(Known::default);
        let mut known = known.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Existing clients keep outdated authorities; new ones get the current content of the files.
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

    /// Whether the configured files are unchanged since they were read. Makes one system call per file.
    fn is_current(&self) -> bool {
        // If another thread holds the lock, it is reading them, so they are current.
        self.loaded
            .try_lock()
            .ok()
            .and_then(|loaded| loaded.clone())
            .is_none_or(|loaded| loaded.settled && loaded.survey.named == self.trust.named())
    }

    /// The certificates; reads them if they were not read yet.
    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        let mut slot = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*slot {
            return loaded.clone();
        }
        let loaded = Arc::new(self.trust.load(self.trust.survey(), self.trust.certificates.clone()));
        // Do not keep an empty result, so that the files are read again.
        if !loaded.roots.is_empty() {
            *slot = Some(loaded.clone());
        }
        loaded
    }

    /// The certificates, read again; None if nothing has changed since `old`.
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
        // Keep the previous complete result instead of an incomplete one.
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

    /// `loaded`, as if its files were old enough for changes to be detected.
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
    fn duplicate_certificates_are_trusted_once() {
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
        // A client that is created after the file changed reads it again, even if its content is that of before.
        let text = fs::read(&file).unwrap();
        folder.write("ca.pem", authority());
        assert!(!Arc::ptr_eq(&shared, &Authorities::of(&Trust::new(Some(&file)).unwrap())));
        folder.write("ca.pem", text);
        assert_eq!(Trust::new(Some(&file)).unwrap(), trust);
        let renewed = Authorities::of(&trust);
        assert!(!Arc::ptr_eq(&shared, &renewed));
        // Unused authorities are dropped in the end.
        let unused =
            Arc::downgrade(&Authorities::of(&Trust { additional: named("unused", &file), ..trust.clone() }));
        for number in 0..=MOST_UNUSED {
            let path = folder.0.join(number.to_string());
            Authorities::of(&Trust { additional: named("other", &path), ..trust.clone() });
        }
        assert!(unused.upgrade().is_none());
        assert!(Arc::ptr_eq(&renewed, &Authorities::of(&trust)));
    }

    #[test]
    fn only_changed_files_are_read_again() {
        let folder = Folder::new();
        let certificate = authority();
        let file = folder.write("ca.pem", &certificate);
        let trust = Trust { dirs: vec![Place::new(None, &folder.0)], ..Trust::default() };
        let authorities = Authorities { trust, loaded: Mutex::default() };
        let first = authorities.loaded();
        // The file was just written, so another change may go undetected.
        assert!(!first.settled && authorities.newer(&first).is_some());
        let known = settled(&authorities.loaded());
        *authorities.loaded.lock().unwrap() = Some(known.clone());
        assert!(authorities.newer(&known).is_none());

        folder.write("another.pem", authority());
        let newer = authorities.newer(&known).unwrap();
        assert_eq!(newer.roots.len(), 2);
        // Another caller with the old result gets the new one, without reading.
        assert!(Arc::ptr_eq(&newer, &authorities.newer(&known).unwrap()));
        assert!(Arc::ptr_eq(&newer, &authorities.loaded()));

        // The same content with another time.
        let known = settled(&newer);
        *authorities.loaded.lock().unwrap() = Some(known.clone());
        fs::write(&file, &certificate).unwrap();
        assert!(authorities.newer(&known).is_some());
    }

    #[test]
    fn unreadable_files_are_reported_and_read_again() {
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
        // After the file is gone, the previous result is kept.
        fs::remove_file(&missing).unwrap();
        assert!(authorities.newer(&authorities.loaded()).unwrap().roots.is_empty());
        assert_eq!(authorities.loaded().roots.len(), 1);
    }

    #[test]
    fn a_temporary_error_makes_the_result_incomplete() {
        let folder = Folder::new();
        let file = folder.write("ca.pem", authority());
        let trust = Trust { file: named("SSL_CERT_FILE", &file), ..Trust::default() };
        let mut survey = trust.survey();
        let exhausted = rustix::io::Errno::MFILE.raw_os_error();
        survey.entries.push(Seen { place: Place::new(None, "/etc/ssl"), state: Err(exhausted) });
        let loaded = trust.load(survey, Arc::default());
        assert_eq!(loaded.lacked, Some(exhausted));
        assert_eq!(loaded.notes, "/etc/ssl: it cannot be read: Too many open files (os error 24)");
        // So the files are read again, although none has changed.
        let mut known =
            Arc::into_inner(settled(&Arc::new(trust.load(trust.survey(), Arc::default())))).unwrap();
        known.lacked = Some(exhausted);
        let authorities = Authorities { trust, loaded: Mutex::new(Some(Arc::new(known))) };
        assert_eq!(authorities.newer(&authorities.loaded()).unwrap().lacked, None);
    }

    #[test]
    fn an_additional_file_that_becomes_invalid_keeps_its_previous_content() {
        let folder = Folder::new();
        let file = folder.write("ca.pem", authority());
        // Also if the file is among the system's files.
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
    fn only_the_first_notes_are_listed() {
        let notes = |count: usize| listed(&(1..=count).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(notes(0), "");
        assert_eq!(notes(3), "1; 2; 3");
        assert_eq!(notes(300), "1; 2; 3; and 297 more");
    }
}
