//! Questions about answers that cannot be answered: each is told why.

use testkit::folder::Folder;

use crate::support::{Edge, records_in};

const NOBODYS: &str = "/v1/recommendations/01890a5d-ac96-774b-bcce-b302099a8057";

async fn edge(folder: &Folder) -> Edge {
    Edge::with_records(Some(records_in(folder).await)).await
}

#[tokio::test]
async fn wrong_questions_name_the_field() {
    let folder = Folder::new().unwrap();
    let edge = edge(&folder).await;
    let check = async |method: &str, path: &str, body: &str, status: u16, reason: &str, holds: &str| {
        let answer = edge.send(method, path, body).await;
        assert_eq!(
            (answer.status, answer.json()["reason"].as_str()),
            (status, Some(reason)),
            "{path}: {}",
            answer.text
        );
        assert!(answer.text.contains(holds), "{path}: {}", answer.text);
    };
    check("GET", NOBODYS, "", 404, "recommendation_not_found", "7days").await;
    check("GET", &format!("{NOBODYS}/explain"), "", 404, "recommendation_not_found", "").await;
    check("GET", &format!("{NOBODYS}/explain/track-1"), "", 404, "recommendation_not_found", "").await;
    check("POST", &format!("{NOBODYS}:replay"), "{}", 404, "recommendation_not_found", "").await;
    check("GET", "/v1/recommendations/none", "", 400, "invalid_field", "a UUID").await;
    check("POST", NOBODYS, "{}", 405, "method_not_allowed", "").await;
    check("POST", &format!("{NOBODYS}:replay"), r#"{"surfaces": 1}"#, 400, "invalid_field", "/surfaces").await;
    check("GET", "/v1/recommendations?since=soon", "", 400, "invalid_field", "?since").await;
    check("GET", "/v1/recommendations?limit=0", "", 400, "invalid_field", "?limit").await;
    check("GET", "/v1/recommendations?whole=perhaps", "", 400, "invalid_field", "?whole").await;
    let none = edge.send("GET", "/v1/recommendations", "").await;
    assert_eq!((none.status, none.json()["recommendations"].as_array().map(Vec::len)), (200, Some(0)));
}

#[tokio::test]
async fn an_edge_that_keeps_no_records_says_so() {
    let edge = Edge::start().await;
    let answer = edge.send("GET", NOBODYS, "").await;
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (409, Some("records_not_kept")), "{}", answer.text);
}
