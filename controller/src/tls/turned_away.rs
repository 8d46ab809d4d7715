//! Why a connection was turned away at the door, in words for the audit log.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// Why; nothing where nobody was turned away, but the other side went by itself.
pub(super) fn why(error: &io::Error) -> Option<String> {
    if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        return Some(of_tls(error));
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => None,
        io::ErrorKind::TimedOut => Some("it said nothing, or not enough, in the time that a handshake may take".into()),
        _ => Some(error.to_string()),
    }
}

fn of_tls(error: &Error) -> String {
    match error {
        Error::InvalidMessage(_) => "no TLS: plaintext, or another protocol".into(),
        Error::PeerIncompatible(why) => format!("it does not speak TLS 1.3 as this port does ({why:?})"),
        Error::InvalidCertificate(why) => format!("its certificate {}", of_certificate(why)),
        Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::DecryptError),
        ) => format!(
            "it does not trust this controller's certificate ({alert:?}): it looks for another cluster, or another name"
        ),
        other => other.to_string(),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => "is not of this cluster's CA".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has run out".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not good yet".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is for another role than a node's".into()
        }
        other => format!("does not count: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_by_itself_was_not_turned_away() {
        assert_eq!(why(&io::ErrorKind::UnexpectedEof.into()), None);
        let refused = |error: Error| why(&io::Error::new(io::ErrorKind::InvalidData, error)).expect("turned away");
        let expired = Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(refused(expired), "its certificate has run out");
        let issuer = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(refused(issuer), "its certificate is not of this cluster's CA");
        assert!(refused(Error::AlertReceived(AlertDescription::UnknownCA)).contains("does not trust"));
        assert!(why(&io::ErrorKind::TimedOut.into()).is_some_and(|why| why.contains("handshake")));
    }
}
