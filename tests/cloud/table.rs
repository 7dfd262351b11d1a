//! What the Table service refuses and Azurite lets pass; and the translation of a batch's URLs for
//! Azurite, which finds a table's name in them only behind an account's.

use std::collections::HashSet;

use hyper::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Answer, Bytes, answer, azurite::Account, storage::Service};

/// A request that the service would not have taken.
#[derive(Debug)]
pub struct Broken {
    /// Left out where it is no mistake of the client's.
    pub rule: Option<String>,
    pub answer: Answer,
}

fn broken(code: &str, rule: &str) -> Box<Broken> {
    Box::new(Broken {
        rule: Some(rule.to_owned()),
        answer: Service::Table.error(400, code, rule),
    })
}

/// A token that the next page starts at the beginning: the service may send one with an empty page.
const EMPTY: &str = "1!8!ZW1wdHk-";

/// The request that Azurite shall see; `page` limits how many rows a page of a query has.
pub fn checked(
    request: Request<Bytes>,
    account: &Account,
    page: Option<usize>,
) -> Result<Request<Bytes>, Box<Broken>> {
    if request.uri().path() == "/$batch" {
        return batch(request, account);
    }
    if !request.body().is_empty() {
        entity(request.body(), request.method())?;
    }
    let is_query = *request.method() == Method::GET && request.uri().path().ends_with("()");
    match is_query {
        true => query(request, page),
        false => Ok(request),
    }
}

fn query(request: Request<Bytes>, page: Option<usize>) -> Result<Request<Bytes>, Box<Broken>> {
    let text = request.uri().query().unwrap_or_default();
    let top = text.split('&').find_map(|pair| {
        pair.strip_prefix("$top=")
            .or_else(|| pair.strip_prefix("%24top="))
    });
    let top = top.map_or(1000, |top| top.parse::<usize>().unwrap_or(0));
    if !(1..=1000).contains(&top) {
        return Err(broken("InvalidInput", "$top is 1 to 1000"));
    }
    let Some(page) = page else { return Ok(request) };
    let token = text
        .split('&')
        .find_map(|pair| pair.strip_prefix("NextPartitionKey="));
    let token = token.map(|token| percent_decode_str(token).decode_utf8_lossy().into_owned());
    if token.is_none() {
        // No row, and a token without a row key: a query may meet both.
        let mut answer = answer(
            200,
            "application/json;odata=nometadata",
            r#"{"value":[]}"#.to_owned(),
        );
        answer
            .headers_mut()
            .insert("x-ms-continuation-nextpartitionkey", EMPTY.parse().unwrap());
        return Err(Box::new(Broken { rule: None, answer }));
    }
    let own = token.as_deref() == Some(EMPTY);
    let kept = text.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        let replaced = matches!(name, "$top" | "%24top") || own && name.starts_with("Next");
        !replaced
    });
    let pairs: Vec<_> = kept
        .map(str::to_owned)
        .chain([format!("$top={}", page.min(top))])
        .collect();
    let uri = format!("{}?{}", request.uri().path(), pairs.join("&"));
    let (mut parts, body) = request.into_parts();
    parts.uri = uri
        .parse()
        .map_err(|_| broken("InvalidInput", "the query is not one"))?;
    Ok(Request::from_parts(parts, body))
}

/// An entity's limits.
fn entity(body: &[u8], method: &Method) -> Result<(), Box<Broken>> {
    let entity = serde_json::from_slice::<Value>(body)
        .map_err(|_| broken("InvalidInput", "the body is not JSON"))?;
    let Some(entity) = entity.as_object() else {
        return Err(broken("InvalidInput", "an entity is an object"));
    };
    let system = ["PartitionKey", "RowKey", "Timestamp"];
    let own = entity.keys().filter(|key| {
        !key.contains('@') && !key.starts_with("odata.") && !system.contains(&key.as_str())
    });
    if own.count() > 252 {
        return Err(broken(
            "TooManyProperties",
            "an entity has at most 252 properties",
        ));
    }
    if body.len() > 1 << 20 {
        return Err(broken("EntityTooLarge", "an entity has at most 1 MiB"));
    }
    // Azurite drops such a property, the service keeps what it was.
    if *method == Method::PATCH && entity.values().any(Value::is_null) {
        return Err(broken(
            "InvalidInput",
            "null in a merge means different things to different services",
        ));
    }
    Ok(())
}

fn batch(request: Request<Bytes>, account: &Account) -> Result<Request<Bytes>, Box<Broken>> {
    if request.body().len() > 4 << 20 {
        return Err(broken("RequestBodyTooLarge", "a batch has at most 4 MiB"));
    }
    let text = std::str::from_utf8(request.body())
        .map_err(|_| broken("InvalidInput", "a batch is UTF-8"))?;
    let mut out = String::with_capacity(text.len() + 4096);
    let mut rows = Vec::new();
    let mut operation: Option<(Method, String)> = None;
    for line in text.split_inclusive("\r\n") {
        if let Some((method, url)) = request_line(line) {
            let path = url
                .split_once("://")
                .and_then(|(_, rest)| rest.split_once('/'));
            let (host, path) =
                path.ok_or_else(|| broken("InvalidInput", "a batch has absolute URLs"))?;
            if !host.starts_with(&format!("{}.", account.name)) {
                return Err(broken(
                    "InvalidInput",
                    "a batch is for the account that it is sent to",
                ));
            }
            out.push_str(&format!(
                "{method} https://{host}/{}/{path} HTTP/1.1\r\n",
                account.name
            ));
            operation = Some((method, path.to_owned()));
            rows.extend(keys_in_path(path));
            continue;
        }
        if line.starts_with('{')
            && let Some((method, path)) = &operation
        {
            entity(line.trim_end().as_bytes(), method)?;
            if !path.contains('(') {
                rows.extend(keys_in_body(line));
            }
        }
        out.push_str(line);
    }
    limits(&rows)?;
    let (parts, _) = request.into_parts();
    Ok(Request::from_parts(parts, Bytes::from(out)))
}

/// Partition and row of every operation.
fn limits(rows: &[(String, String)]) -> Result<(), Box<Broken>> {
    if rows.is_empty() {
        return Err(broken("InvalidInput", "a batch is not empty"));
    }
    if rows.len() > 100 {
        return Err(broken(
            "InvalidInput",
            "0:The batch request operation exceeds the maximum 100 changes per change set.",
        ));
    }
    if let Some(at) = rows.iter().position(|row| row.0 != rows[0].0) {
        let rule = format!("{at}:All commands in a batch must operate on same entity group.");
        return Err(in_batch("CommandsInBatchActOnDifferentPartitions", &rule));
    }
    let mut seen = HashSet::new();
    if let Some(at) = rows.iter().position(|row| !seen.insert(&row.1)) {
        let rule = format!(
            "{at}:A command with RowKey '{}' is already present in the batch.",
            rows[at].1
        );
        return Err(in_batch("InvalidDuplicateRow", &rule));
    }
    Ok(())
}

/// A batch that fails is answered 202; what failed is said inside.
fn in_batch(code: &str, rule: &str) -> Box<Broken> {
    let inner = Service::Table.error(400, code, rule);
    let inner = String::from_utf8_lossy(inner.body()).into_owned();
    let body = format!(
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n\
         --changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: \
         binary\r\n\r\n\
         HTTP/1.1 400 Bad Request\r\nDataServiceVersion: 3.0;\r\nContent-Type: \
         application/json;odata=nometadata\r\n\r\n\
         {inner}\r\n--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    );
    let answer = answer(
        StatusCode::ACCEPTED.as_u16(),
        "multipart/mixed; boundary=batchresponse_1",
        body,
    );
    Box::new(Broken {
        rule: Some(rule.to_owned()),
        answer,
    })
}

fn request_line(line: &str) -> Option<(Method, &str)> {
    let mut words = line.strip_suffix(" HTTP/1.1\r\n")?.splitn(2, ' ');
    let method = words.next()?.parse().ok()?;
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    known.contains(&method).then_some((method, words.next()?))
}

/// `t(PartitionKey='a',RowKey='b')`.
fn keys_in_path(path: &str) -> Option<(String, String)> {
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let (_, keys) = path.split_once("(PartitionKey='")?;
    let (partition, rest) = keys.split_once("',RowKey='")?;
    let (row, _) = rest.rsplit_once("')")?;
    Some((partition.replace("''", "'"), row.replace("''", "'")))
}

fn keys_in_body(body: &str) -> Option<(String, String)> {
    let entity = serde_json::from_str::<Value>(body).ok()?;
    let get = |name: &str| entity[name].as_str().map(str::to_owned);
    get("PartitionKey").zip(get("RowKey"))
}
