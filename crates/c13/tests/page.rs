//! The page of `c13 drill --html`, opened in a browser: it is shown without an error, and asks for nothing from elsewhere.
//!
//! The page itself forbids the browser to fetch anything, so that a request is an error that the browser tells.

use std::fs;
use std::path::Path;
use std::process::Command;

const SCENARIO: &str = r#"
name = "a <small> outage"
duration = "1m"
load = { rps = 50, deadline = "1s" }
dependency = { name = "payments", latency = { constant = "50ms" }, concurrency = 10 }
fault = [{ at = "20s", for = "10s", kind = "outage", mode = "refuse" }]
variant = [{ name = "critical", profile = "critical" }]
slo = { goodput = ">= 70%" }
"#;

/// What a browser makes of a page, and what it complains of.
fn opened(folder: &Path, page: &Path) -> (String, Vec<String>) {
    let output = Command::new("chromium")
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--disable-background-networking",
            "--enable-logging=stderr",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", folder.join("browser").display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("there is a browser: `./test` installs Debian's package chromium");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let said = text(output.stderr);
    let complaints = said.lines().filter(|line| line.contains("CONSOLE"));
    (text(output.stdout), complaints.map(str::to_owned).collect())
}

#[test]
fn a_browser_shows_the_page_without_an_error_or_a_request_to_elsewhere() {
    let folder = tempfile::tempdir().expect("there is room");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("drill.toml"), SCENARIO).expect("there is room");
    let drill = Command::new(env!("CARGO_BIN_EXE_c13"))
        .args(["drill", "drill.toml", "--html", "drill.html"])
        .current_dir(folder.path())
        .output()
        .expect("the program starts");
    assert_eq!(drill.status.code(), Some(0), "{drill:?}");
    let (shown, complaints) = opened(folder.path(), &at("drill.html"));
    assert!(shown.contains("<h1>a &lt;small&gt; outage</h1>"), "{shown}");
    assert!(shown.trim_end().ends_with("</html>"), "{shown}");
    assert!(complaints.is_empty(), "{complaints:?}");

    // The same with a picture from elsewhere: the browser does complain.
    let page = fs::read_to_string(at("drill.html")).expect("it was written");
    let other = page.replace("</main>", "<img src=\"https://example.com/a.png\"></main>");
    fs::write(at("other.html"), other).expect("there is room");
    let (_, complaints) = opened(folder.path(), &at("other.html"));
    assert!(
        complaints.iter().any(|line| line.contains("Content Security Policy")),
        "{complaints:?}"
    );
}
