//! Opens the client of a store, and refuses early where it could only fail late.
//!
//! Without credentials the clients would ask the metadata service of a cloud that is not there, for minutes. So a
//! store opens only when the environment names a way to sign in (or says that none is needed). Nothing is sent yet.

use std::sync::{Arc, LazyLock};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as S3};
use object_store::azure::{AzureConfigKey as Azure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Google};
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::signer::Signer;
use object_store::{ClientConfigKey, ObjectStore};

use crate::azure_crypto::AzureCrypto;
use crate::transport::{Connector, client_options, retries};
use crate::{BlobError, Environment, Scheme, StoreUrl};

/// Where Azurite listens and whose its blobs are, unless it is told otherwise. The key is no secret: it is the same everywhere
/// (<https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>).
const EMULATOR_URL: &str = "http://127.0.0.1:10000";
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The blobs of all `memory:` URLs of this process.
static MEMORY: LazyLock<Arc<InMemory>> = LazyLock::new(|| Arc::new(InMemory::new()));

/// An open store, and what is known of it.
pub(crate) struct Client {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Of stores whose URLs can be signed.
    pub(crate) signer: Option<Arc<dyn Signer>>,
    /// Whose credentials are used; no secret.
    pub(crate) account: Option<String>,
    /// Whether it takes conditions with a put.
    pub(crate) conditional: bool,
}

impl Client {
    fn plain(store: Arc<dyn ObjectStore>) -> Client {
        Client { store, signer: None, account: None, conditional: true }
    }
}

/// The client for the authority of `url`, to be used with paths that start with its prefix.
pub(crate) fn connect(url: &StoreUrl, environment: &Environment) -> Result<Client, BlobError> {
    match url.scheme() {
        Scheme::File => Ok(Client::plain(Arc::new(LocalFileSystem::new()))),
        Scheme::Memory => Ok(Client::plain(Arc::clone(&*MEMORY) as Arc<dyn ObjectStore>)),
        Scheme::Azure => azure(url, &environment.settings("AZURE_"), environment.value("AZURITE_BLOB_STORAGE_URL")),
        Scheme::S3 => s3(url, &environment.settings("AWS_")),
        Scheme::Google => google(url, &environment.settings("GOOGLE_")),
        Scheme::Http | Scheme::Https => http(url),
    }
}

fn azure(url: &StoreUrl, settings: &[(Azure, &str)], azurite: Option<&str>) -> Result<Client, BlobError> {
    let on = |key| value_of(settings, &key).is_some_and(is_true);
    let has = |key| value_of(settings, &key).is_some();
    let can_sign = [Azure::AccessKey, Azure::SasKey, Azure::Token, Azure::ClientSecret]
        .into_iter()
        .chain([Azure::FederatedTokenFile, Azure::MsiEndpoint, Azure::CredentialType])
        .any(has);
    let signs = can_sign || on(Azure::UseAzureCli) || on(Azure::SkipSignature);
    let known = on(Azure::UseEmulator) || (has(Azure::AccountName) && signs);
    if !known {
        let fix =
            "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_USE_EMULATOR=true for Azurite";
        return Err(BlobError::NoCredentials { url: url.to_string(), account: "Azure account", fix });
    }
    let allowed = on(Azure::Client(ClientConfigKey::AllowHttp));
    refuse_plain(url, value_of(settings, &Azure::Endpoint), allowed, ("AZURE_STORAGE_ENDPOINT", "AZURE_ALLOW_HTTP"))?;
    let builder = MicrosoftAzureBuilder::new().with_http_connector(Connector);
    let builder = builder.with_client_options(client_options()).with_retry(retries());
    let builder = builder.with_crypto_provider(Arc::new(AzureCrypto));
    // The emulator is an endpoint like others, but for its defaults: the builder's own would look into this process's environment.
    let plain = settings.iter().filter(|(key, _)| *key != Azure::UseEmulator);
    let builder = plain.fold(builder, |builder, (key, value)| builder.with_config(*key, *value));
    let mut name = value_of(settings, &Azure::AccountName);
    let builder = if on(Azure::UseEmulator) {
        let account = *name.get_or_insert(EMULATOR_ACCOUNT);
        let endpoint = format!("{}/{account}", azurite.unwrap_or(EMULATOR_URL).trim_end_matches('/'));
        let builder = builder.with_endpoint(endpoint).with_account(account).with_allow_http(true);
        if can_sign { builder } else { builder.with_access_key(EMULATOR_KEY) }
    } else {
        builder
    };
    let store = opened(url, builder.with_container_name(url.authority()).build())?;
    let signer: Option<Arc<dyn Signer>> = (!on(Azure::SkipSignature)).then(|| store.clone() as _);
    let account = name.map(|name| format!("account {name}"));
    Ok(Client { store, signer, account, conditional: true })
}

fn s3(url: &StoreUrl, settings: &[(S3, &str)]) -> Result<Client, BlobError> {
    let on = |key| value_of(settings, &key).is_some_and(is_true);
    let has = |key| value_of(settings, &key).is_some();
    let signs = (has(S3::AccessKeyId) && has(S3::SecretAccessKey))
        || (has(S3::WebIdentityTokenFile) && has(S3::RoleArn))
        || has(S3::ContainerCredentialsRelativeUri)
        || (has(S3::ContainerCredentialsFullUri) && has(S3::ContainerAuthorizationTokenFile))
        || has(S3::MetadataEndpoint)
        || on(S3::SkipSignature);
    if !signs {
        let fix = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION or AWS_ENDPOINT), or AWS_SKIP_SIGNATURE=true for a public bucket";
        return Err(BlobError::NoCredentials { url: url.to_string(), account: "AWS account", fix });
    }
    let endpoint = value_of(settings, &S3::S3Endpoint).or(value_of(settings, &S3::Endpoint));
    let allowed = on(S3::Client(ClientConfigKey::AllowHttp));
    refuse_plain(url, endpoint, allowed, ("AWS_ENDPOINT", "AWS_ALLOW_HTTP"))?;
    let builder = AmazonS3Builder::new().with_http_connector(Connector);
    let builder = builder.with_client_options(client_options()).with_retry(retries());
    let builder = settings.iter().fold(builder, |builder, (key, value)| builder.with_config(*key, *value));
    let store = opened(url, builder.with_bucket_name(url.authority()).build())?;
    let signer: Option<Arc<dyn Signer>> = (!on(S3::SkipSignature)).then(|| store.clone() as _);
    // The number of a key is no secret; the key is.
    let account = value_of(settings, &S3::AccessKeyId).map(|id| format!("access key {id}"));
    let conditional = value_of(settings, &S3::ConditionalPut) != Some("disabled");
    Ok(Client { store, signer, account, conditional })
}

fn google(url: &StoreUrl, settings: &[(Google, &str)]) -> Result<Client, BlobError> {
    let signs =
        [Google::ServiceAccount, Google::ServiceAccountKey, Google::ApplicationCredentials, Google::BearerToken]
            .iter()
            .any(|key| value_of(settings, key).is_some());
    if !signs && !value_of(settings, &Google::SkipSignature).is_some_and(is_true) {
        let fix = "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT to a key file, or GOOGLE_SKIP_SIGNATURE=true for a public bucket";
        return Err(BlobError::NoCredentials { url: url.to_string(), account: "Google account", fix });
    }
    let builder = GoogleCloudStorageBuilder::new().with_http_connector(Connector);
    let builder = builder.with_client_options(client_options()).with_retry(retries());
    let builder = settings.iter().fold(builder, |builder, (key, value)| builder.with_config(*key, *value));
    let store = opened(url, builder.with_bucket_name(url.authority()).build())?;
    let signer: Option<Arc<dyn Signer>> = signs.then(|| store.clone() as _);
    Ok(Client { signer, ..Client::plain(store) })
}

fn http(url: &StoreUrl) -> Result<Client, BlobError> {
    let options = client_options().with_allow_http(url.scheme() == Scheme::Http);
    let root = format!("{}://{}", url.scheme().as_str(), url.authority());
    let builder = HttpBuilder::new().with_http_connector(Connector).with_url(root);
    let store = opened(url, builder.with_client_options(options).with_retry(retries()).build())?;
    Ok(Client::plain(store))
}

fn opened<S: ObjectStore>(url: &StoreUrl, built: object_store::Result<S>) -> Result<Arc<S>, BlobError> {
    built.map(Arc::new).map_err(|source| BlobError::Open { url: url.to_string(), source: source.into() })
}

/// Credentials cross an endpoint without TLS only where the user has said so; `names` are the two variables.
fn refuse_plain(
    url: &StoreUrl,
    endpoint: Option<&str>,
    allowed: bool,
    (variable, fix): (&'static str, &'static str),
) -> Result<(), BlobError> {
    if allowed || !endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        return Ok(());
    }
    Err(BlobError::PlainEndpoint { url: url.to_string(), variable, fix })
}

fn value_of<'a, K: PartialEq>(settings: &[(K, &'a str)], key: &K) -> Option<&'a str> {
    settings.iter().find(|(known, _)| known == key).map(|(_, value)| *value)
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y")
}
