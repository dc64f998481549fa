//! Every message, byte for byte as moby sends and expects it (facts/protocols.md §1.2).
//!
//! Handlers that need an engine are tested with one, in `tests/`.

use axum::{
    body::{Body, Bytes},
    extract::FromRequest,
    http::{StatusCode, header},
    response::IntoResponse,
};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;
use crate::volume::testing::START;

/// Reads a body as the handlers do. moby sends no content type.
async fn read<T: DeserializeOwned>(body: impl Into<Body>) -> Result<T, ApiError> {
    let request = Request::post("/VolumeDriver.X").body(body.into()).unwrap();
    Message::from_request(request, &()).await.map(|Message(message)| message)
}

/// An answer's status, content type and body.
async fn sent(answer: impl IntoResponse) -> (StatusCode, String, String) {
    let response = answer.into_response();
    let (head, body) = response.into_parts();
    let body: Bytes = body.collect().await.unwrap().to_bytes();
    let content_type = head.headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    (head.status, content_type, String::from_utf8(body.to_vec()).unwrap())
}

/// The body of an answer that says that all went well.
async fn sent_ok(answer: impl IntoResponse) -> String {
    let (status, content_type, body) = sent(answer).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(content_type, "application/vnd.docker.plugins.v1.2+json");
    body
}

fn volume(mountpoint: &str) -> Volume {
    let status = json!({ "size": "10GiB" }).as_object().unwrap().clone();
    Volume {
        name: "pgdata,size=10".into(),
        mountpoint: mountpoint.into(),
        created_at: START,
        status,
    }
}

#[tokio::test]
async fn create_is_read_with_null_empty_absent_and_stated_options() {
    for (body, options) in [
        ("{\"Name\":\"x\",\"Opts\":null}\n", None),
        ("{\"Name\":\"x\"}\n", None),
        ("{\"Name\":\"x\",\"Opts\":{}}\n", Some(vec![])),
        ("{\"Name\":\"x\",\"Opts\":{\"size\":\"10\",\"fs\":\"\"}}\n", Some(vec!["fs=", "size=10"])),
    ] {
        let request: CreateRequest = read(body).await.unwrap();
        let pairs = request.opts.map(|options| {
            options.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        });
        let expected = options.map(|pairs| pairs.into_iter().map(str::to_owned).collect());
        assert_eq!((request.name.as_str(), pairs), ("x", expected), "{body}");
    }
}

#[tokio::test]
async fn mount_and_unmount_are_read_with_an_id_from_docker_and_without_one_from_dvdcli() {
    let docker: MountRequest = read("{\"Name\":\"x,size=5\",\"ID\":\"ab12\"}\n").await.unwrap();
    assert_eq!((docker.name.as_str(), docker.id.as_str()), ("x,size=5", "ab12"));
    let dvdcli: MountRequest = read("{\"Name\":\"x\"}\n").await.unwrap();
    assert_eq!((dvdcli.name.as_str(), dvdcli.id.as_str()), ("x", ""));
    assert!(MountId::from(dvdcli.id).is_anonymous());
}

#[tokio::test]
async fn get_path_and_remove_are_read() {
    let request: NameRequest = read("{\"Name\":\"web/data\"}\n").await.unwrap();
    assert_eq!(request.name, "web/data");
}

#[tokio::test]
async fn fields_that_a_later_engine_adds_are_ignored() {
    let create = r#"{"Name":"x","Opts":null,"ClusterSpec":{"a":[1]}}"#;
    assert!(read::<CreateRequest>(create).await.is_ok());
    assert!(read::<MountRequest>(r#"{"Name":"x","ID":"1","Labels":null}"#).await.is_ok());
    assert!(read::<NameRequest>(r#"{"Name":"x","Opts":{}}"#).await.is_ok());
}

/// What moby repeats after a broken connection: success would be a lie.
#[tokio::test]
async fn an_empty_body_is_an_error() {
    for body in ["", "\n", " \t\r\n "] {
        for error in [
            read::<CreateRequest>(body).await.unwrap_err(),
            read::<MountRequest>(body).await.unwrap_err(),
            read::<NameRequest>(body).await.unwrap_err(),
        ] {
            assert!(matches!(error, ApiError::NoBody), "{body:?}: {error:?}");
        }
    }
    let (status, _, body) = sent(ApiError::NoBody).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let text = r#"{"Err":"the request has no body: the connection broke before, try again"}"#;
    assert_eq!(body, text);
}

#[tokio::test]
async fn a_body_that_is_not_the_message_is_an_error() {
    for body in
        ["null", "[]", "{}", "{", "\"x\"", r#"{"Name":null}"#, r#"{"Name":1}"#, r#"{"name":"x"}"#]
    {
        let error = read::<CreateRequest>(body).await.unwrap_err();
        assert!(matches!(error, ApiError::Body(_)), "{body}: {error:?}");
        assert!(error.to_string().starts_with("the request cannot be read: "), "{error}");
    }
    let not_text = read::<NameRequest>(vec![0xff_u8, 0xfe]).await.unwrap_err();
    assert!(matches!(not_text, ApiError::Body(_)), "{not_text:?}");
    // Said twice, the two could differ.
    let twice = read::<NameRequest>(r#"{"Name":"a","Name":"b"}"#).await.unwrap_err();
    assert!(matches!(twice, ApiError::Body(_)), "{twice:?}");
    let number = read::<CreateRequest>(r#"{"Name":"x","Opts":{"size":10}}"#).await.unwrap_err();
    assert!(number.to_string().contains("invalid type: integer `10`"), "{number}");
}

#[tokio::test]
async fn a_body_without_end_is_an_error() {
    let name = "x".repeat(3 << 20);
    let error = read::<NameRequest>(format!(r#"{{"Name":"{name}"}}"#)).await.unwrap_err();
    assert!(error.to_string().contains("length limit exceeded"), "{error}");
}

#[test]
fn an_empty_name_is_an_error() {
    assert!(matches!(named(""), Err(ApiError::NoName)));
    assert_eq!(named("x").ok(), Some("x"));
}

#[tokio::test]
async fn the_answers_are_what_moby_expects() {
    assert_eq!(sent_ok(activate().await).await, r#"{"Implements":["VolumeDriver"]}"#);
    assert_eq!(
        sent_ok(capabilities().await).await,
        r#"{"Capabilities":{"Scope":"global"},"Err":""}"#
    );
    assert_eq!(sent_ok(done(())).await, r#"{"Err":""}"#);
    let path = PathBuf::from("/var/lib/hawser/volumes/x");
    assert_eq!(
        sent_ok(mountpoint(Some(&path))).await,
        r#"{"Mountpoint":"/var/lib/hawser/volumes/x","Err":""}"#
    );
    assert_eq!(sent_ok(mountpoint(None)).await, r#"{"Mountpoint":"","Err":""}"#);
}

#[tokio::test]
async fn get_answers_with_the_name_that_was_asked_for_and_an_rfc_3339_date() {
    let answer = GetResponse { volume: volume("/m"), err: "" };
    assert_eq!(
        sent_ok(PluginJson(answer)).await,
        r#"{"Volume":{"Name":"pgdata,size=10","Mountpoint":"/m","CreatedAt":"2026-01-02T03:04:05Z","Status":{"size":"10GiB"}},"Err":""}"#
    );
}

/// Go reads at most nanoseconds, and so many are written.
#[tokio::test]
async fn a_date_with_a_fraction_is_rfc_3339_too() {
    let created_at = "2026-01-02T03:04:05.123456789Z".parse().unwrap();
    let body = serde_json::to_string(&Volume { created_at, ..volume("") }).unwrap();
    assert!(body.contains(r#""CreatedAt":"2026-01-02T03:04:05.123456789Z""#), "{body}");
}

#[tokio::test]
async fn list_answers_with_an_empty_array_where_there_is_nothing() {
    let of = |volumes| PluginJson(ListResponse { volumes, err: "" });
    assert_eq!(sent_ok(of(vec![])).await, r#"{"Volumes":[],"Err":""}"#);
    let listed = ListedVolume { name: "x".into(), mountpoint: String::new() };
    assert_eq!(
        sent_ok(of(vec![listed])).await,
        r#"{"Volumes":[{"Name":"x","Mountpoint":""}],"Err":""}"#
    );
}

#[tokio::test]
async fn every_error_has_the_one_form_and_is_left_for_the_log() {
    let error = ApiError::NoSuchCall("/VolumeDriver.Snapshot".into());
    let response = error.clone().into_response();
    assert!(response.extensions().get::<ApiError>().is_some());
    let (status, content_type, body) = sent(error).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(content_type, "application/vnd.docker.plugins.v1.2+json");
    assert_eq!(body, r#"{"Err":"hawser is a volume driver and has no `/VolumeDriver.Snapshot`"}"#);

    let (_, _, not_found) = sent(ApiError::from(EngineError::NotFound("a\"b".into()))).await;
    assert_eq!(not_found, r#"{"Err":"no volume `a\"b`"}"#);
}

/// `Activate` comes with an empty body, `List` and `Capabilities` with `{}`: none reads it.
#[tokio::test]
async fn calls_without_a_message_read_no_body() {
    use tower::ServiceExt;
    let router = Router::new()
        .route("/Plugin.Activate", post(activate))
        .route("/VolumeDriver.Capabilities", post(capabilities));
    for path in ["/Plugin.Activate", "/VolumeDriver.Capabilities"] {
        for body in ["", "{}", "{}\n", "{"] {
            let request = Request::post(path).body(Body::from(body)).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{path} {body:?}");
        }
    }
}
