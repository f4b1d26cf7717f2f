use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use server_base::settings::Section;
use server_base::{Finding, FindingKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers one request after the other as it is told; the last answer stands for all that follow.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Says nothing at all.
const SILENCE: &str = "";

async fn server(answers: &'static [&'static str]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (seen, count) = (Arc::clone(&requests), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let (seen, count) = (Arc::clone(&seen), Arc::clone(&count));
            tokio::spawn(async move {
                let text = request(&mut stream).await;
                seen.lock().expect("no panic").push(text);
                let n = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
                if answers[n] == SILENCE {
                    // Until the peer goes.
                    let _ = stream.read(&mut [0]).await;
                    return;
                }
                let (head, body) = answers[n].split_once('|').unwrap_or((answers[n], ""));
                let length = body.len();
                let text = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(text.as_bytes()).await.expect("sent");
            });
        }
    });
    Server { url, requests }
}

async fn request(stream: &mut tokio::net::TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut piece).await.expect("bytes");
        all.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |it| it.parse().expect("a number"));
            if body.len() >= length {
                return text;
            }
        }
        assert!(n > 0, "cut off: {text}");
    }
}

impl Server {
    fn heard(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }

    fn config(&self, kind: &str) -> Config {
        let text = format!(
            "[target.t]\nurl = \"{}\"\n{kind}\n[[trigger]]\nname = \"r\"\nmodel = \"m\"\n\
             target = \"t\"\non = [\"drift\"]\nwindows = 1\nquiet_windows = 1\ncooldown_h = 0\n",
            self.url
        );
        let table: toml::Table = text.parse().expect("TOML");
        let mut root = Section::root(&table);
        let mut config = Config::read(&mut root);
        config.targets.values_mut().for_each(|it| it.timeout = PATIENCE);
        root.finish(config).expect("no faults")
    }
}

/// Longer than an answer takes that comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long one is waited for that does not come, the only time that passes in these tests.
const SHORT: Duration = Duration::from_secs(2);

const AIRFLOW: &str = "kind = \"airflow\"\ndag = \"d\"";
const WEBHOOK: &str = "kind = \"webhook\"";
const HOUR: u64 = 3_600_000;

fn driver(config: Config, state: Option<&Path>) -> Driver {
    let audit = state.map(|it| Arc::new(Journal::new(it, "audit", 1 << 20)));
    let folder = state.map(Path::to_path_buf);
    let environment = [("PASSWORD".to_owned(), "hush".to_owned())].into_iter().collect();
    let served = Box::new(|| {
        let model = server_base::ModelName::new("m").expect("a name");
        vec![Served { model, version: server_base::Version(1), made: None }]
    });
    Driver::new(Options { config, environment, folder, audit, served }).expect("a driver")
}

/// An alarm at the end of that hour, and when it is judged.
fn alarm(driver: &mut Driver, hour: u64) -> Moment {
    let at = |hour: u64| UNIX_EPOCH + Duration::from_secs(hour * 3600);
    let finding = Finding {
        model: server_base::ModelName::new("m").expect("a name"),
        version: server_base::Version(1),
        kind: FindingKind::Drift,
        is_alarm: true,
        from: at(hour - 1),
        to: at(hour),
        rows: 10,
        subjects: Vec::new(),
        text: "psi".to_owned(),
        evidence: "{}".to_owned(),
    };
    driver.found(&finding, Moment(hour * HOUR));
    Moment(hour * HOUR + 2_000)
}

/// One turn, and what comes back.
async fn turn(driver: &mut Driver, now: Moment) {
    driver.turn(now);
    driver.settle(now).await;
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect()
}

/// What the audit says of attempts, and how long the delivery then waits, in seconds.
async fn tried(kind: &str, answers: &'static [&'static str], turns: usize) -> (Vec<String>, u64) {
    let server = server(answers).await;
    let folder = tempfile::tempdir().expect("scratch");
    let mut config = server.config(kind);
    if answers.contains(&SILENCE) {
        config.targets.values_mut().for_each(|it| it.timeout = SHORT);
    }
    let mut driver = driver(config, Some(folder.path()));
    let mut now = alarm(&mut driver, 1000);
    let mut wait = 0;
    for _ in 0..turns {
        turn(&mut driver, now).await;
        // What comes is waited for as long as it takes.
        let config = Arc::get_mut(&mut driver.config).expect("nothing is under way");
        config.targets.values_mut().for_each(|it| it.timeout = PATIENCE);
        let due = driver.outbox.first().map_or(now, |it| it.due);
        wait = due.since(now).as_secs();
        now = due;
    }
    let audit = lines(&folder.path().join("audit.jsonl"));
    let results = audit.iter().map(|it| it["result"].as_str().expect("a word").to_owned());
    (results.collect(), wait)
}

#[tokio::test]
async fn answers_decide_what_becomes_of_a_delivery() {
    let check = async |kind: &str, answers, turns, expect: &[&str], wait: std::ops::Range<u64>| {
        let (results, waits) = tried(kind, answers, turns).await;
        assert_eq!(results, expect, "{answers:?}");
        assert!(wait.contains(&waits), "{answers:?}: {waits} s");
    };
    check(WEBHOOK, &["204 No Content"], 2, &["fired", "delivered"], 0..1).await;
    // The run's state, and whether the DAG is paused, are asked for too.
    check(AIRFLOW, &["200 OK|{\"is_paused\":true}"], 1, &["fired", "delivered"], 0..1).await;
    check(AIRFLOW, &["409 Conflict|{}"], 1, &["fired", "duplicate"], 0..1).await;
    check(AIRFLOW, &["422 Unprocessable|no"], 2, &["fired", "dead"], 0..1).await;
    check(WEBHOOK, &["410 Gone"], 2, &["fired", "dead"], 0..1).await;
    check(WEBHOOK, &["302 Found\r\nlocation: /x"], 2, &["fired", "dead"], 0..1).await;
    check(AIRFLOW, &["500 Oh", "200 OK|{}"], 1, &["fired", "retry"], 5..8).await;
    check(AIRFLOW, &["500 Oh", "200 OK|{}"], 2, &["fired", "retry", "delivered"], 0..1).await;
    let slow = &["429 Slow\r\nretry-after: 77", "204 No"];
    check(WEBHOOK, slow, 1, &["fired", "retry"], 77..78).await;
    check(WEBHOOK, slow, 2, &["fired", "retry", "delivered"], 0..1).await;
    // Who knows no keys may know better what a conflict is.
    check(WEBHOOK, &["409 Conflict", "204 No"], 2, &["fired", "retry", "delivered"], 0..1).await;
    // Kubeflow is asked for the name first.
    let kubeflow = "kind = \"kubeflow\"\npipeline = \"p\"";
    let new = &["200 OK|{}", "200 OK|{\"run_id\":\"r\"}"];
    check(kubeflow, new, 1, &["fired", "delivered"], 0..1).await;
    let argo = "kind = \"argo_workflows\"\nnamespace = \"n\"\ntemplate = \"t\"";
    check(argo, &["409 Conflict|{}"], 1, &["fired", "duplicate"], 0..1).await;
    check("kind = \"argo_events\"", &["503 Full", "200 OK"], 1, &["fired", "retry"], 5..8).await;
    check("kind = \"github\"\nrepository = \"o/r\"", &["204 No"], 1, &["fired", "delivered"], 0..1)
        .await;
    check(WEBHOOK, &[SILENCE, "204 No"], 2, &["fired", "retry", "delivered"], 0..1).await;
}

#[tokio::test]
async fn what_nobody_takes_is_a_dead_letter_and_the_next_alarm_fires() {
    let server = server(&["503 Away"]).await;
    let folder = tempfile::tempdir().expect("scratch");
    let mut driver = driver(server.config(AIRFLOW), Some(folder.path()));
    let mut now = alarm(&mut driver, 1000);
    for _ in 0..ATTEMPTS_MAX {
        turn(&mut driver, now).await;
        now = driver.outbox.first().map_or(now, |it| it.due);
    }
    assert_eq!((driver.outbox.len(), server.heard().len()), (0, 24));
    let dead = lines(&folder.path().join("triggers/dead_letters.jsonl"));
    assert_eq!((dead.len(), &dead[0]["attempts"]), (1, &serde_json::json!(24)));
    assert!(now.0 > 1000 * HOUR + 4 * HOUR, "given up after {now:?}");
    let now = alarm(&mut driver, 1010);
    driver.turn(now);
    assert_eq!(driver.outbox.len(), 1, "it is no longer in flight, and armed again");
}

#[tokio::test]
async fn a_crash_between_firing_and_delivery_forgets_nothing_and_repeats_nothing() {
    let server = server(&["503 Away", "200 OK|{}"]).await;
    let folder = tempfile::tempdir().expect("scratch");
    let mut first = driver(server.config(AIRFLOW), Some(folder.path()));
    let now = alarm(&mut first, 1000);
    turn(&mut first, now).await;
    let key = first.outbox[0].event.key.clone();
    // What it was about to do is lost with it.
    drop(first);

    let mut second = driver(server.config(AIRFLOW), Some(folder.path()));
    assert_eq!((second.outbox.len(), second.outbox[0].attempts), (1, 1));
    alarm(&mut second, 1000);
    let due = second.outbox[0].due;
    turn(&mut second, due).await;
    assert_eq!(second.outbox, []);
    let heard = server.heard();
    let posts: Vec<&String> = heard.iter().filter(|it| it.starts_with("POST")).collect();
    assert_eq!(posts.len(), 2, "one that failed, one that did not");
    assert!(posts.iter().all(|it| it.contains(&format!("salver__{key}"))), "the same run");

    let mut third = driver(server.config(AIRFLOW), Some(folder.path()));
    alarm(&mut third, 1000);
    turn(&mut third, due).await;
    assert_eq!(server.heard().iter().filter(|it| it.starts_with("POST")).count(), 2);
}

#[tokio::test]
async fn what_was_due_while_nobody_was_there_is_done_once() {
    let server = server(&["204 No"]).await;
    let folder = tempfile::tempdir().expect("scratch");
    let mut config = server.config(WEBHOOK);
    config.rules[0].every = Some(Duration::from_secs(6 * 3600));
    config.rules[0].fires_per_day_max = 9;
    config.rules[0].age_max = Some(Duration::from_secs(24 * 3600));
    for (hour, expect) in [(1000, 0), (1001, 0), (1003, 1), (1005, 1), (1024, 3), (1024, 3)] {
        let mut driver = driver(config.clone(), Some(folder.path()));
        turn(&mut driver, Moment(hour * HOUR)).await;
        turn(&mut driver, Moment(hour * HOUR + 1_000)).await;
        assert_eq!(server.heard().len(), expect, "hour {hour}");
    }
    let heard = server.heard();
    let count = |cause: &str| {
        heard.iter().filter(|it| it.contains(&format!("\"cause\":\"{cause}\""))).count()
    };
    assert_eq!((count("schedule"), count("age")), (2, 1), "{heard:?}");
}

#[tokio::test]
async fn nothing_is_delivered_before_it_is_written_down() {
    let server = server(&["200 OK|{}"]).await;
    let folder = tempfile::tempdir().expect("scratch");
    let mut driver = driver(server.config(WEBHOOK), Some(folder.path()));
    let home = folder.path().join("triggers");
    fs::remove_dir(&home).expect("empty");
    let now = alarm(&mut driver, 1000);
    turn(&mut driver, now).await;
    assert_eq!((driver.outbox.len(), server.heard().len()), (1, 0));
    fs::create_dir(&home).expect("made");
    turn(&mut driver, now).await;
    assert_eq!((driver.outbox.len(), server.heard().len()), (0, 1));
}

/// A process that is killed leaves the state that was written down last.
#[tokio::test]
async fn what_was_decided_and_not_written_down_is_said_once() {
    let server = server(&["204 No"]).await;
    let folder = tempfile::tempdir().expect("scratch");
    let aside = folder.path().join("triggers/.state.json");
    let next = || driver(server.config(WEBHOOK), Some(folder.path()));
    let results = || {
        let audit = lines(&folder.path().join("audit.jsonl"));
        audit.iter().map(|it| it["result"].as_str().expect("a word").to_owned()).collect::<Vec<_>>()
    };
    let mut fires = next();
    let now = alarm(&mut fires, 1000);
    fires.keep();
    fs::create_dir(&aside).expect("in the way");
    turn(&mut fires, now).await;
    assert_eq!((fires.outbox.len(), results().len()), (1, 0));
    drop(fires);
    fs::remove_dir(&aside).expect("out of the way");

    let mut delivers = next();
    delivers.turn(now);
    assert_eq!(results(), ["fired"]);
    fs::create_dir(&aside).expect("in the way");
    delivers.settle(now).await;
    assert_eq!((delivers.outbox.len(), server.heard().len()), (0, 1));
    drop(delivers);
    fs::remove_dir(&aside).expect("out of the way");

    let mut last = next();
    for _ in 0..2 {
        turn(&mut last, now).await;
        assert_eq!(results(), ["fired", "delivered"]);
    }
    assert_eq!(server.heard().len(), 2, "with the same key");
}

#[tokio::test]
async fn a_run_is_asked_about_until_it_ends() {
    let answers: &[&str] = &[
        "200 OK|{}",
        "200 OK|{\"is_paused\":false}",
        "200 OK|{\"state\":\"running\"}",
        "200 OK|{\"state\":\"failed\"}",
    ];
    let server = server(Box::leak(Box::from(answers))).await;
    let mut driver = driver(server.config(AIRFLOW), None);
    let mut now = alarm(&mut driver, 1000);
    turn(&mut driver, now).await;
    let under_way = |it: &Driver| it.book.entries.values().any(|it| it.flight.is_some());
    assert!(under_way(&driver));
    for expect in [true, false] {
        now = now.after(LOOK);
        turn(&mut driver, now).await;
        assert_eq!(under_way(&driver), expect);
    }
    assert!(server.heard()[2].starts_with("GET /api/v2/dags/d/dagRuns/salver__"));
}

#[tokio::test]
async fn a_login_is_kept_until_it_is_refused_and_never_told() {
    let answers: &[&str] = &[
        "201 Created|{\"access_token\":\"one\"}",
        "401 No",
        "201 Created|{\"access_token\":\"two\"}",
        "422 No|{\"input\":\"hush\"}",
    ];
    let server = server(Box::leak(Box::from(answers))).await;
    let kind = format!("{AIRFLOW}\nuser = \"u\"\npassword_env = \"PASSWORD\"");
    let folder = tempfile::tempdir().expect("scratch");
    let mut driver = driver(server.config(&kind), Some(folder.path()));
    let now = alarm(&mut driver, 1000);
    turn(&mut driver, now).await;
    let heard = server.heard();
    assert!(heard[0].starts_with("POST /auth/token") && heard[0].contains("hush"));
    assert!(heard[1].contains("authorization: Bearer one"));
    assert!(heard[3].contains("authorization: Bearer two"));
    for file in ["audit.jsonl", "triggers/state.json", "triggers/dead_letters.jsonl"] {
        let text = fs::read_to_string(folder.path().join(file)).expect("there");
        assert!(!text.contains("Bearer") && !text.contains("two"), "{file}: {text}");
    }
}

#[tokio::test]
async fn a_refused_login_does_not_repeat_the_password() {
    let server = server(&["422 No|{\"input\":\"hush\"}"]).await;
    let kind = format!("{AIRFLOW}\nuser = \"u\"\npassword_env = \"PASSWORD\"");
    let folder = tempfile::tempdir().expect("scratch");
    let mut driver = driver(server.config(&kind), Some(folder.path()));
    let now = alarm(&mut driver, 1000);
    turn(&mut driver, now).await;
    let dead = fs::read_to_string(folder.path().join("triggers/dead_letters.jsonl"));
    let dead = dead.expect("there");
    assert!(dead.contains("the login was refused") && !dead.contains("hush"), "{dead}");
}
