//! EC2's errors, with AWS's words.

use std::fmt;

use aws_sdk_ec2::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::RequestId,
};

use super::Call;

/// A call that failed. It can be given to all who share a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// Which call.
    pub(crate) call: Call,
    /// EC2's code, when EC2 answered.
    pub(crate) code: Option<String>,
    /// EC2's words, or why there was no answer.
    pub(crate) message: String,
    /// What AWS's support asks for.
    pub(crate) request_id: Option<String>,
}

impl std::error::Error for ApiError {}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.message)?;
        match (&self.code, &self.request_id) {
            (Some(code), Some(id)) => write!(f, " ({code}, request {id})"),
            (Some(code), None) => write!(f, " ({code})"),
            (None, _) => Ok(()),
        }
    }
}

impl ApiError {
    pub(super) fn of<E>(call: Call, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + RequestId + Send + Sync + 'static,
    {
        let request_id = error.request_id().map(str::to_owned);
        if let Some(code) = error.code() {
            let message = error.message().unwrap_or("no reason was given").to_owned();
            return Self { call, code: Some(code.to_owned()), message, request_id };
        }
        let why = DisplayErrorContext(error).to_string();
        Self { call, code: None, message: explained(&why), request_id }
    }

    /// An error of our own making, before anything was sent.
    pub(super) const fn before(call: Call, message: String) -> Self {
        Self { call, code: None, message, request_id: None }
    }

    /// Whether EC2 answered with one of these codes.
    pub(crate) fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// There is no such volume. An id that cannot be one is none, too.
    pub(crate) fn is_no_volume(&self) -> bool {
        self.is(&["InvalidVolume.NotFound", "InvalidVolumeID.Malformed", "InvalidParameterValue"])
            && (!self.is(&["InvalidParameterValue"]) || self.message.contains("parameter volume"))
    }

    /// It may go better in a moment, so that whoever waits anyway goes on waiting.
    pub(crate) fn is_passing(&self) -> bool {
        self.is(&[
            "RequestLimitExceeded",
            "Throttling",
            "InternalError",
            "Unavailable",
            "ServiceUnavailable",
        ]) || (self.code.is_none() && !self.message.starts_with("no AWS credentials"))
    }
}

/// What the SDK says when EC2 did not answer, in the words of somebody who can do something.
pub(super) fn explained(why: &str) -> String {
    let lower = why.to_lowercase();
    let about_credentials = lower.contains("credentials")
        && (lower.contains("identity") || lower.contains("provider") || lower.contains("chain"));
    // The debug text that the SDK appends tells nothing that its words do not.
    let words = why.split(" (").next().unwrap_or(why);
    // A line for each place that was looked at is a page for one that has none.
    let words = words.split(" Attempted:").next().unwrap_or(words).replace('\n', " ");
    if about_credentials {
        return format!(
            "no AWS credentials: {words}; give the instance a role (with a metadata hop limit of 2 \
             inside containers), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        );
    }
    format!("EC2 did not answer: {words}")
}
