//! EC2's query protocol: a form comes in ([`form`]), XML goes out ([`xml`]). Nothing here knows what
//! a volume is.

pub(crate) mod form;
pub(crate) mod xml;

pub(crate) use self::{form::Params, xml::Xml};
