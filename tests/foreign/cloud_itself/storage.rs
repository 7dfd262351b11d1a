use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::cloud::{
    Cloud, Right, Service,
    ask::{Reply, send},
    encoded,
};

const TABLE: [(&str, &str); 4] = [
    ("x-ms-version", "2019-02-02"),
    ("accept", "application/json;odata=nometadata"),
    ("dataserviceversion", "3.0"),
    ("content-type", "application/json"),
];
const BLOB: [(&str, &str); 2] = [
    ("x-ms-version", "2026-04-06"),
    ("x-ms-blob-type", "BlockBlob"),
];

async fn table(cloud: &Cloud, who: &str, method: &str, path: &str, body: &str) -> Reply {
    send(
        cloud,
        who,
        method,
        &format!("{}{path}", cloud.table_url()),
        &TABLE,
        body,
    )
    .await
}

async fn with_table(cloud: &Cloud) {
    let reply = table(
        cloud,
        "publisher",
        "POST",
        "/Tables",
        r#"{"TableName":"revocations"}"#,
    )
    .await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

/// A batch of the product's form.
fn batch(cloud: &Cloud, rows: impl Iterator<Item = (String, String)>) -> String {
    let mut text =
        String::from("--batch_1\r\nContent-Type: multipart/mixed; boundary=changeset_2\r\n\r\n");
    for (partition, row) in rows {
        text += &format!(
            "--changeset_2\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: \
             binary\r\n\r\n\
             PATCH {}/revocations(PartitionKey='{partition}',RowKey='{row}') HTTP/1.1\r\n\
             Content-Type: application/json\r\nAccept: \
             application/json;odata=nometadata\r\nDataServiceVersion: 3.0\r\n\r\n\
             {{\"PartitionKey\":\"{partition}\",\"RowKey\":\"{row}\",\"State\":\"revoked\"}}\r\n",
            cloud.table_url()
        );
    }
    text + "--changeset_2--\r\n--batch_1--\r\n"
}

async fn send_batch(cloud: &Cloud, who: &str, body: &str) -> Reply {
    let mut headers = TABLE.to_vec();
    headers[3].1 = "multipart/mixed; boundary=batch_1";
    send(
        cloud,
        who,
        "POST",
        &format!("{}/$batch", cloud.table_url()),
        &headers,
        body,
    )
    .await
}

#[tokio::test]
async fn a_row_is_inserted_and_read_with_a_bearer_token() {
    let cloud = Cloud::start();
    with_table(&cloud).await;
    let reply = table(
        &cloud,
        "publisher",
        "POST",
        "/revocations",
        r#"{"PartitionKey":"ca","RowKey":"head","Seq":1}"#,
    )
    .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let path = "/revocations(PartitionKey='ca',RowKey='head')";
    for who in ["publisher", "responder"] {
        let reply = table(&cloud, who, "GET", path, "").await;
        assert_eq!((reply.status, &reply.json()["Seq"]), (200, &json!(1)));
        assert!(reply.header("etag").starts_with("W/"), "{reply:?}");
    }
    assert_eq!(cloud.rows("revocations").len(), 1);
    assert_eq!(cloud.count("GET *.table.* /revocations(*"), 2);
    assert_eq!(cloud.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_batch_of_one_hundred_rows_is_taken_and_what_the_service_refuses_is_refused() {
    let cloud = Cloud::start();
    with_table(&cloud).await;
    let rows = |count: usize| (0..count).map(|row| ("ca".to_owned(), format!("s.{row:040x}")));
    let reply = send_batch(&cloud, "publisher", &batch(&cloud, rows(100))).await;
    assert_eq!(
        (reply.status, reply.body.matches("204 No Content").count()),
        (202, 100),
        "{reply:?}"
    );
    assert_eq!(cloud.rows("revocations").len(), 100);
    assert_eq!(cloud.violations(), Vec::<String>::new());

    let reply = send_batch(&cloud, "publisher", &batch(&cloud, rows(101))).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    let mixed =
        [("ca", "a"), ("cb", "b")].map(|(partition, row)| (partition.to_owned(), row.to_owned()));
    let reply = send_batch(&cloud, "publisher", &batch(&cloud, mixed.into_iter())).await;
    assert!(
        reply.status == 202
            && reply
                .body
                .contains("CommandsInBatchActOnDifferentPartitions"),
        "{reply:?}"
    );
    let twice =
        [("ca", "a"), ("ca", "a")].map(|(partition, row)| (partition.to_owned(), row.to_owned()));
    let reply = send_batch(&cloud, "publisher", &batch(&cloud, twice.into_iter())).await;
    assert!(
        reply.status == 202 && reply.body.contains("InvalidDuplicateRow"),
        "{reply:?}"
    );
    assert_eq!(
        send_batch(&cloud, "publisher", &batch(&cloud, rows(0)))
            .await
            .status,
        400
    );
    assert_eq!(cloud.violations().len(), 4);
    assert_eq!(cloud.rows("revocations").len(), 100);
}

#[tokio::test]
async fn a_query_comes_in_pages_and_the_first_may_be_empty() {
    let cloud = Cloud::start();
    with_table(&cloud).await;
    let rows = (0..10).map(|row| ("ca".to_owned(), format!("s.{row:040x}")));
    send_batch(&cloud, "publisher", &batch(&cloud, rows)).await;
    cloud.set_page_size(4);
    let (mut pages, mut next) = (vec![], String::new());
    loop {
        let path = format!("/revocations()?$filter=PartitionKey%20eq%20'ca'{next}");
        let reply = table(&cloud, "responder", "GET", &path, "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        pages.push(reply.json()["value"].as_array().unwrap().len());
        next = String::new();
        for (name, header) in [
            ("NextPartitionKey", "x-ms-continuation-nextpartitionkey"),
            ("NextRowKey", "x-ms-continuation-nextrowkey"),
        ] {
            if !reply.header(header).is_empty() {
                next += &format!("&{name}={}", encoded(reply.header(header)));
            }
        }
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [0, 4, 4, 2]);
}

#[tokio::test]
async fn blobs_are_put_and_read_with_conditions() {
    let cloud = Cloud::start();
    cloud.create_container("crl", true);
    let url = format!("{}/ca.crl", cloud.container_url("crl"));
    let create = [BLOB[0], BLOB[1], ("if-none-match", "*")];
    assert_eq!(
        send(&cloud, "publisher", "PUT", &url, &create, "one")
            .await
            .status,
        201
    );
    let again = send(&cloud, "publisher", "PUT", &url, &create, "two").await;
    assert_eq!(
        (again.status, again.header("x-ms-error-code")),
        (409, "BlobAlreadyExists")
    );
    let stale = [BLOB[0], BLOB[1], ("if-match", "\"0x1\"")];
    assert_eq!(
        send(&cloud, "publisher", "PUT", &url, &stale, "two")
            .await
            .status,
        412
    );
    assert_eq!(
        send(&cloud, "responder", "GET", &url, &BLOB, "").await.body,
        "one"
    );
    let head = send(&cloud, "responder", "HEAD", &url, &BLOB, "").await;
    assert_eq!((head.status, head.header("content-length")), (200, "3"));
    assert_eq!(cloud.blob("crl", "ca.crl").unwrap(), b"one");
    cloud.put_blob("crl", "ca/1.crl", b"three");
    assert_eq!(cloud.blobs("crl"), ["ca.crl", "ca/1.crl"]);
    cloud.delete_blob("crl", "ca.crl");
    assert_eq!(cloud.blob("crl", "ca.crl"), None);
}

#[tokio::test]
async fn the_responder_may_not_write() {
    let cloud = Cloud::start();
    with_table(&cloud).await;
    cloud.create_container("crl", true);
    let url = format!("{}/ca.crl", cloud.container_url("crl"));
    let reply = send(&cloud, "responder", "PUT", &url, &BLOB, "x").await;
    assert_eq!(
        (reply.status, reply.header("x-ms-error-code")),
        (403, "AuthorizationPermissionMismatch")
    );
    assert!(
        reply
            .body
            .contains("<Code>AuthorizationPermissionMismatch</Code>"),
        "{reply:?}"
    );
    let reply = table(
        &cloud,
        "responder",
        "POST",
        "/revocations",
        r#"{"PartitionKey":"a","RowKey":"b"}"#,
    )
    .await;
    assert_eq!(
        (reply.status, &reply.json()["odata.error"]["code"]),
        (403, &json!("AuthorizationPermissionMismatch"))
    );
    let rows = [("ca".to_owned(), "a".to_owned())];
    assert_eq!(
        send_batch(&cloud, "responder", &batch(&cloud, rows.into_iter()))
            .await
            .status,
        403
    );
    cloud.add_identity("blind", &[Right::TableWrite]);
    assert_eq!(
        table(&cloud, "blind", "GET", "/revocations()", "")
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn tokens_of_another_service_or_another_test_are_refused() {
    let (cloud, other) = (Cloud::start(), Cloud::start());
    let tokens = [
        cloud.token("publisher", "https://vault.azure.net"),
        other.token("publisher", "https://storage.azure.com"),
    ];
    for token in tokens {
        let request = cloud
            .client()
            .get(format!("{}/Tables", cloud.table_url()))
            .bearer_auth(token);
        let reply = Reply::of(request.send().await.unwrap()).await;
        assert_eq!(
            (reply.status, reply.header("x-ms-error-code")),
            (401, "InvalidAuthenticationInfo")
        );
    }
    let reply = table(&cloud, "publisher", "GET", "/Tables", "").await;
    assert_eq!(reply.status, 200);
    let url = format!("{}/Tables", other.table_url());
    assert_eq!(
        send(&cloud, "publisher", "GET", &url, &TABLE, "")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn curl_reads_a_public_blob_over_http_and_https() {
    let cloud = Cloud::start();
    cloud.create_container("crl", true);
    cloud.create_container("archive", false);
    cloud.put_blob("crl", "ca.crl", b"bytes");
    cloud.put_blob("archive", "ca.crl", b"bytes");
    for (scheme, container, expected) in [
        ("https", "crl", "bytes200"),
        ("http", "crl", "bytes200"),
        ("https", "archive", "404"),
    ] {
        let url = format!("{}/ca.crl", cloud.container_url(container)).replace("https", scheme);
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sS", "-w", "%{http_code}", &url])
            .envs(cloud.network());
        let output = curl.output().expect("these tests need `curl`");
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            text.ends_with(expected),
            "{scheme} {container}: {text} {said}"
        );
    }
}

#[tokio::test]
async fn each_test_has_an_account_of_its_own() {
    let (one, two) = (Cloud::start(), Cloud::start());
    one.create_container("crl", true);
    two.create_container("crl", true);
    one.put_blob("crl", "a", b"1");
    assert_eq!((one.blobs("crl").len(), two.blobs("crl").len()), (1, 0));
    assert_eq!(
        one.direct(Service::Table, "GET", "/Tables", &[], vec![])
            .status(),
        200
    );
}

#[tokio::test]
async fn shared_keys_and_sas_are_judged_by_azurite() {
    let cloud = Cloud::start();
    with_table(&cloud).await;
    cloud.create_container("crl", false);
    cloud.put_blob("crl", "ca.crl", b"bytes");
    let key = hmac::Key::new(
        hmac::HMAC_SHA256,
        &STANDARD.decode(cloud.account_key()).unwrap(),
    );
    let sign = |text: String| STANDARD.encode(hmac::sign(&key, text.as_bytes()).as_ref());

    let date = "Tue, 24 Nov 2026 00:00:00 GMT";
    let signature = sign(format!("{date}\n/{}/revocations()", cloud.account()));
    for (signature, good) in [(signature.as_str(), true), ("d3Jvbmc=", false)] {
        let request = cloud
            .client()
            .get(format!("{}/revocations()", cloud.table_url()));
        let authorization = format!("SharedKeyLite {}:{signature}", cloud.account());
        let request = request
            .header("authorization", authorization)
            .header("x-ms-date", date);
        let request = request
            .header("x-ms-version", "2019-02-02")
            .header(TABLE[1].0, TABLE[1].1);
        let reply = Reply::of(request.send().await.unwrap()).await;
        assert_eq!(reply.status == 200, good, "{reply:?}");
    }

    let (start, expiry, version) = ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "2021-12-02");
    let text = format!(
        "{}\nr\nb\no\n{start}\n{expiry}\n\nhttps\n{version}\n\n",
        cloud.account()
    );
    let signature = encoded(&sign(text));
    let sas =
        format!("sv={version}&ss=b&srt=o&sp=r&st={start}&se={expiry}&spr=https&sig={signature}");
    let url = format!("{}/ca.crl?{sas}", cloud.container_url("crl"));
    let reply = Reply::of(cloud.client().get(&url).send().await.unwrap()).await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "bytes"),
        "{reply:?}"
    );
}
