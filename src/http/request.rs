//! One request, as its sender chooses it.

use crate::http::headers::HeaderLines;
use crate::http::url::Target;

/// The methods that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Delivers.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// All there are.
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

    /// The method of that name.
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

    /// Whether a request by it may come twice and do no more than once (RFC 9110, 9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Put | Self::Delete)
    }
}

/// One request, as far as its sender chooses it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: &'a Target,
    /// The body, empty for a GET.
    pub body: &'a [u8],
    /// Fields of this request alone.
    pub headers: Option<&'a HeaderLines>,
}
