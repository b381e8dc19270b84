//! Reads certificates from PEM files, and reports invalid sections with their lines.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The problem of a file without a certificate.
pub(crate) const NONE: &str = "it contains no certificate in PEM format";

/// A section between a BEGIN and an END line.
struct Section {
    line: usize,
    label: String,
    base64: Vec<u8>,
}

/// The certificates in `bytes`, and the problems, each with its line. Ignores text outside sections, and sections of
/// other kinds, such as keys.
pub(crate) fn certificates(bytes: &[u8]) -> (Vec<CertificateDer<'static>>, Vec<String>) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(&[0x30, 0x82]) {
        let advice = "it is in DER format: convert it to PEM with openssl x509 -inform DER";
        return (Vec::new(), vec![advice.to_owned()]);
    }
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let mut section: Option<Section> = None;
    for (line, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let text = String::from_utf8_lossy(bytes.trim_ascii());
        match section.take() {
            None if text.contains(BEGIN) => match enclosed(&text, BEGIN) {
                Some(label) => section = Some(Section { line, label: label.to_owned(), base64: Vec::new() }),
                None => problems.push(format!("line {line}: {BEGIN}…{DASHES} must be alone on its line")),
            },
            None if text.contains(END) => {
                problems.push(format!("line {line}: this section has no BEGIN line"))
            }
            None => {}
            Some(Section { line: began, label, .. })
                if text.starts_with(DASHES) && enclosed(&text, END) != Some(&label) =>
            {
                let expected = format!("{END}{label}{DASHES}");
                problems.push(format!(
                    "line {line}: the section from line {began} must end with {expected}, alone on its line"
                ));
            }
            Some(ended) if text.starts_with(DASHES) => match certificate(&ended) {
                Ok(certificate) => found.extend(certificate),
                Err(problem) => problems.push(format!("line {}: {problem}", ended.line)),
            },
            Some(mut begun) => {
                begun.base64.extend(bytes.iter().filter(|byte| !byte.is_ascii_whitespace()));
                section = Some(begun);
            }
        }
    }
    if let Some(Section { line, label, .. }) = section {
        problems.push(format!("line {line}: this section is cut short: {END}{label}{DASHES} is missing"));
    }
    (found, problems)
}

/// The label between `opening` and the dashes at the end of the line.
fn enclosed<'a>(line: &'a str, opening: &str) -> Option<&'a str> {
    line.strip_prefix(opening)?.strip_suffix(DASHES).filter(|label| !label.contains('-'))
}

/// The certificate of this section; None for another kind of section.
fn certificate(section: &Section) -> Result<Option<CertificateDer<'static>>, String> {
    match section.label.as_str() {
        "CERTIFICATE" | "X509 CERTIFICATE" => {}
        // OpenSSL's format may restrict what the certificate is trusted for, so it cannot be read as a plain
        // certificate.
        "TRUSTED CERTIFICATE" => {
            return Err(
                "TRUSTED CERTIFICATE is OpenSSL's own format: convert it with openssl x509".to_owned()
            );
        }
        _ => return Ok(None),
    }
    let der = BASE64_STANDARD.decode(&section.base64).map_err(|_| "this section is not valid base64")?;
    let certificate = CertificateDer::from(der);
    match webpki::anchor_from_trusted_cert(&certificate) {
        Ok(_) => Ok(Some(certificate)),
        Err(error) => Err(format!("this section is not a certificate ({error:?})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::pem::PemObject;

    fn certificate() -> String {
        let params = CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn problems_are_reported_with_their_lines() {
        let pem = certificate();
        let lines = pem.lines().count();
        let rubbish = "-----BEGIN CERTIFICATE-----\nAAECAwQFBgc=\n-----END CERTIFICATE-----\n";
        let cases = [
            (pem.clone(), 1, vec![]),
            (format!("\u{feff}{}", pem.replace('\n', "\r\n")), 1, vec![]),
            (format!("text\n{pem}text\n  {}", pem.replace('\n', "\n  ")), 2, vec![]),
            (pem.replace("CERTIFICATE", "X509 CERTIFICATE"), 1, vec![]),
            (pem.replace("CERTIFICATE", "PRIVATE KEY"), 0, vec![]),
            (
                format!("{}{pem}{pem}", pem.trim_end()),
                1,
                vec![
                    format!(
                        "line {lines}: the section from line 1 must end with -----END CERTIFICATE-----, alone on its line"
                    ),
                    format!("line {}: this section has no BEGIN line", 2 * lines - 1),
                ],
            ),
            (
                format!("{pem}{rubbish}"),
                1,
                vec![format!(
                    "line {}: this section is not a certificate (TrailingData(SignedData))",
                    lines + 1
                )],
            ),
            (pem.replacen("MII", "M!I", 1), 0, vec!["line 1: this section is not valid base64".to_owned()]),
            (
                pem.lines().take(3).collect::<Vec<_>>().join("\n"),
                0,
                vec!["line 1: this section is cut short: -----END CERTIFICATE----- is missing".to_owned()],
            ),
            (
                pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
                0,
                vec![
                    "line 1: TRUSTED CERTIFICATE is OpenSSL's own format: convert it with openssl x509"
                        .to_owned(),
                ],
            ),
        ];
        for (text, count, expected) in cases {
            let (found, problems) = certificates(text.as_bytes());
            assert_eq!((found.len(), problems), (count, expected), "{text}");
        }
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert!(certificates(&der).1[0].starts_with("it is in DER format"));
    }

    proptest! {
        #[test]
        fn agrees_with_another_pem_reader(
            between in prop::collection::vec(r"([a-z -]{0,10}\n){0,2}", 1..4), end in prop::sample::select(vec!["\n", "\r\n"]),
        ) {
            let pem = certificate();
            let text = between.join(&pem).replace('\n', end);
            let (found, problems) = certificates(text.as_bytes());
            let read: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).map(Result::unwrap).collect();
            prop_assert_eq!(found, read);
            prop_assert_eq!(problems, Vec::<String>::new());
        }

        #[test]
        fn nothing_panics(
            bytes in prop::collection::vec(prop::sample::select(vec!["-----BEGIN ", "-----END ", "CERTIFICATE", "-----", "\n", "MII", "=", "é"]), 0..20),
        ) {
            certificates(bytes.concat().as_bytes());
        }
    }
}
