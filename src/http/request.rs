//! Requests: method, target, body and header fields.

use crate::http::headers::HeaderLines;
use crate::http::url::Target;

/// The supported HTTP methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method with this name.
    ///
    /// ```
    /// use simple_connect_core::http::request::Method;
    ///
    /// assert_eq!(Method::named("PATCH"), Some(Method::Patch));
    /// assert_eq!(Method::named("TRACE"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether the method is idempotent (RFC 9110, section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Put | Self::Delete)
    }
}

/// One request. The transport adds its own header fields.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: &'a Target,
    /// The body, empty for a GET.
    pub body: &'a [u8],
    /// Additional header fields of this request.
    pub headers: Option<&'a HeaderLines>,
}
