//! The XML of an answer, as the AWS SDKs read it.
//!
//! ```text
//! <CreateVolumeResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
//!   <requestId>..</requestId> <volumeId>..</volumeId> <tagSet><item>..</item></tagSet>
//! </CreateVolumeResponse>
//! ```

use std::fmt::{Display, Write};

use jiff::Timestamp;

use crate::error::ApiError;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The inside of an answer.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// `<name>value</name>`.
    pub(crate) fn text(&mut self, name: &str, value: impl Display) -> &mut Self {
        let value = escaped(&value.to_string());
        // Writing to a String cannot fail.
        let _ = write!(self.0, "<{name}>{value}</{name}>");
        self
    }

    /// The same, left out if there is nothing.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    pub(crate) fn time(&mut self, name: &str, value: Timestamp) -> &mut Self {
        self.text(name, format_args!("{value:.3}"))
    }

    /// `<name>…</name>` around what `inside` writes.
    pub(crate) fn within(&mut self, name: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let _ = write!(self.0, "<{name}>");
        inside(self);
        let _ = write!(self.0, "</{name}>");
        self
    }

    /// `<name><item>…</item>…</name>`: EC2's form of a list.
    pub(crate) fn items<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        each: impl Fn(&mut Self, T),
    ) -> &mut Self {
        self.within(name, |xml| {
            for item in items {
                xml.within("item", |xml| each(xml, item));
            }
        })
    }

    /// `<return>true</return>`, the answer of actions that have none.
    pub(crate) fn done() -> Self {
        let mut xml = Self::default();
        xml.text("return", true);
        xml
    }

    /// The whole document.
    pub(crate) fn answer(&self, action: &str, request_id: &str) -> String {
        format!(
            "{HEAD}<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <requestId>{request_id}</requestId>{}</{action}Response>",
            self.0
        )
    }
}

/// The document that says why not.
pub(crate) fn refusal(error: &ApiError, request_id: &str) -> String {
    let mut xml = Xml::default();
    xml.within("Response", |xml| {
        xml.within("Errors", |xml| {
            xml.within("Error", |xml| {
                xml.text("Code", &error.code).text("Message", &error.message);
            });
        });
        xml.text("RequestID", request_id);
    });
    format!("{HEAD}{}", xml.0)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_namespace_and_escapes_what_users_wrote() {
        let mut xml = Xml::default();
        xml.items("tagSet", ["a<b"], |xml, tag| {
            xml.text("key", tag);
        });
        let text = xml.answer("CreateTags", "r-1");
        assert!(text.contains("xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\""), "{text}");
        assert!(text.contains("<tagSet><item><key>a&lt;b</key></item></tagSet>"), "{text}");
    }
}
