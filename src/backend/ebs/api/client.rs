//! The SDK's clients: made at the first call, one for each kind of call.

use std::{collections::HashMap, fmt, time::Duration};

use aws_config::{
    BehaviorVersion, ConfigLoader,
    environment::EnvironmentVariableRegionProvider,
    imds::{self, credentials::ImdsCredentialsProvider},
    meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider,
    provider_config::ProviderConfig,
};
use aws_sdk_ec2::{
    Client,
    config::{
        Credentials, Region, SharedHttpClient,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder as HttpBuilder,
    tls::{self, rustls_provider::CryptoMode},
};
use tokio::sync::OnceCell;

use super::{ApiError, Call};
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
            let config = ProviderConfig::without_region().with_http_client(http_client());
            let mut builder = imds::Client::builder()
                .configure(&config)
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
            .http_client(http_client())
            .timeout_config(timeouts)
            .retry_config(retries)
            .region(self.region().await?);
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

    async fn region(&self) -> Result<Region, String> {
        if let Some(region) = &self.settings.region {
            return Ok(Region::new(region.clone()));
        }
        let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new());
        if let Some(region) = chain.region().await {
            return Ok(region);
        }
        let asked = self.metadata().await?.get("/latest/meta-data/placement/region").await;
        asked.map(|region| Region::new(region.as_ref().to_owned())).map_err(|error| {
            let why = aws_sdk_ec2::error::DisplayErrorContext(&error).to_string();
            let words = why.split(" (").next().unwrap_or(&why);
            format!("no AWS region is known: not on EC2 ({words}), and none configured: set backends.ebs.region")
        })
    }
}

fn http_client() -> SharedHttpClient {
    HttpBuilder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
}
