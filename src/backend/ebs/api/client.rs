//! The SDK's clients: made at the first call, one for each kind of call.

use std::{collections::HashMap, fmt, path::Path, time::Duration};

use aws_config::{
    BehaviorVersion, ConfigLoader,
    environment::EnvironmentVariableRegionProvider,
    imds::{self, credentials::ImdsCredentialsProvider},
    meta::region::ProvideRegion,
    profile::ProfileFileRegionProvider,
    provider_config::ProviderConfig,
};
use aws_sdk_ec2::{
    Client,
    config::{
        Credentials, ProvideCredentials, Region, SharedHttpClient,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
    error::DisplayErrorContext,
};
use aws_smithy_http_client::{
    Builder as HttpBuilder,
    tls::{self, rustls_provider::CryptoMode},
};
use tokio::sync::OnceCell;

use super::{ApiError, Call, error::explained};
use crate::backend::ebs::{StaticCredentials, asked::Asked};

const CONNECT: Duration = Duration::from_secs(3);
const READ: Duration = Duration::from_secs(20);
/// All attempts of a call: below the deadlines of those who call.
const OPERATION: Duration = Duration::from_secs(45);
const MAX_ATTEMPTS: u32 = 12;
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The metadata service is on this host: it answers at once or not at all.
const METADATA: Duration = Duration::from_secs(1);

/// How EC2 is reached.
#[derive(Debug, Clone)]
pub(crate) struct ApiSettings {
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) credentials: Option<StaticCredentials>,
    pub(crate) metadata_endpoint: Option<String>,
}

/// EC2's API.
pub(crate) struct Api {
    settings: ApiSettings,
    clients: Asked<HashMap<Call, Client>, String>,
    metadata: OnceCell<imds::Client>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Api {
    /// Asks nobody yet.
    pub(crate) const fn new(settings: ApiSettings) -> Self {
        Self { settings, clients: Asked::new(), metadata: OnceCell::const_new() }
    }

    /// The client for that call.
    pub(super) async fn client(&self, call: Call) -> Result<Client, ApiError> {
        let clients = self.clients.get(|| self.make()).await;
        let clients = clients.map_err(|why| ApiError::before(call, why))?;
        clients.get(&call).cloned().ok_or_else(|| ApiError::before(call, "has no client".into()))
    }

    /// The client of the instance's metadata service (IMDSv2).
    pub(super) async fn metadata(&self) -> Result<&imds::Client, String> {
        let make = || async {
            let mut builder = imds::Client::builder()
                .configure(&provider_config()?)
                .max_attempts(2)
                .connect_timeout(METADATA)
                .read_timeout(METADATA)
                .operation_timeout(METADATA * 3);
            if let Some(endpoint) = &self.settings.metadata_endpoint {
                builder = builder.endpoint(endpoint).map_err(|error| error.to_string())?;
            }
            Ok(builder.build())
        };
        self.metadata.get_or_try_init(make).await
    }

    async fn make(&self) -> Result<HashMap<Call, Client>, String> {
        let config = self.loader().await?.load().await;
        let client = |call: Call| {
            let config = aws_sdk_ec2::config::Builder::from(&config)
                .retry_partition(RetryPartition::custom(call.name()).build())
                .build();
            (call, Client::from_conf(config))
        };
        Ok(Call::ALL.iter().copied().map(client).collect())
    }

    async fn loader(&self) -> Result<ConfigLoader, String> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .read_timeout(READ)
            .operation_timeout(OPERATION)
            .build();
        let retries =
            RetryConfig::adaptive().with_max_attempts(MAX_ATTEMPTS).with_max_backoff(MAX_BACKOFF);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client()?)
            .timeout_config(timeouts)
            .retry_config(retries)
            .region(Region::new(self.region().await?.0));
        if let Some(endpoint) = &self.settings.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(keys) = &self.settings.credentials {
            let session = keys.session_token.clone();
            loader = loader.credentials_provider(Credentials::new(
                &keys.access_key,
                &keys.secret_key,
                session,
                None,
                "hawser's configuration",
            ));
        } else if self.settings.metadata_endpoint.is_some() {
            let metadata = self.metadata().await?.clone();
            loader = loader.credentials_provider(
                ImdsCredentialsProvider::builder().imds_client(metadata).build(),
            );
        }
        Ok(loader)
    }

    /// The region, and who says so.
    pub(crate) async fn region(&self) -> Result<(String, &'static str), String> {
        if let Some(region) = &self.settings.region {
            return Ok((region.clone(), "backends.ebs.region"));
        }
        // Not the SDK's chain of these: its metadata client has no HTTP client, and panics.
        if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
            return Ok((region.to_string(), "AWS_REGION in the environment"));
        }
        if let Some(region) = ProfileFileRegionProvider::new().region().await {
            return Ok((region.to_string(), "AWS's profile"));
        }
        let asked = self.metadata().await?.get("/latest/meta-data/placement/region").await;
        asked.map(|region| (region.as_ref().to_owned(), "the instance's metadata")).map_err(|error| {
            let why = DisplayErrorContext(&error).to_string();
            let words = why.split(" (").next().unwrap_or(&why);
            format!("no AWS region is known: not on EC2 ({words}), and none configured: set backends.ebs.region")
        })
    }

    /// The id of the key that calls are signed with, and where it comes from.
    pub(crate) async fn access_key(&self) -> Result<(String, &'static str), ApiError> {
        let call = Call::DescribeVolumes;
        let failed = |why: String| ApiError::before(call, explained(&why));
        let config = self.loader().await.map_err(failed)?.load().await;
        let provider = config.credentials_provider();
        let provider = provider.ok_or_else(|| failed("no credentials provider".into()))?;
        let found = provider.provide_credentials().await;
        let found = found.map_err(|error| failed(DisplayErrorContext(&error).to_string()))?;
        let by = if self.settings.credentials.is_some() {
            "backends.ebs.access_key"
        } else if set("AWS_ACCESS_KEY_ID") {
            "AWS_ACCESS_KEY_ID in the environment"
        } else if found.expiry().is_some() {
            "a role"
        } else {
            "AWS's profile"
        };
        Ok((found.access_key_id().to_owned(), by))
    }
}

fn set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// For what the SDK asks before there is a client: without an HTTP client of ours it panics.
fn provider_config() -> Result<ProviderConfig, String> {
    Ok(ProviderConfig::without_region().with_http_client(http_client()?))
}

fn http_client() -> Result<SharedHttpClient, String> {
    ensure_authorities()?;
    Ok(HttpBuilder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https())
}

/// Where distributions keep the certificates of authorities.
const AUTHORITIES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
];

/// Without any, the SDK panics when it makes its client, and the daemon would end with it.
fn ensure_authorities() -> Result<(), String> {
    let own = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(std::env::var_os);
    let found = if own.iter().any(Option::is_some) {
        own.iter().flatten().any(|path| Path::new(path).exists())
    } else {
        AUTHORITIES.iter().any(|path| Path::new(path).exists())
    };
    if found {
        return Ok(());
    }
    Err("no certificates of authorities are installed, so that EC2 cannot be believed: install ca-certificates, or set SSL_CERT_FILE".to_owned())
}
