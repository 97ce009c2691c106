//! What is read, told and refused.

use super::*;

#[test]
fn the_defaults_are_usable() {
    let settings = Settings::defaults().unwrap();
    assert!(settings.database.url.is_embedded());
    assert_eq!(settings.server.port, 8080);
    assert_eq!(settings.plans.default_plan(), "standard");
}

#[test]
fn http_has_two_threads_for_each_of_few_cores_or_as_many_as_are_set() {
    let threads = [1, 2, 4, 5, 8, 9, 64].map(threads_for);
    assert_eq!(threads, [2, 4, 8, 8, 8, 9, 64]);
    let server = |text: &str| Sources::of_text(text).unwrap().settings().unwrap().server;
    let cores = thread::available_parallelism().unwrap().get();
    assert_eq!(server("").all_threads(), threads_for(cores));
    let three = server("[server]\nthreads = 3\nconnections = 100");
    assert_eq!((three.all_threads(), three.all_connections()), (3, 300));
}

#[test]
fn secrets_are_read_by_who_needs_them() {
    let settings = Sources::of_text("[access]\nroot_key_file = \"/nowhere\"").unwrap();
    let complaint = settings.settings().unwrap().access.with_secrets().unwrap_err().to_string();
    assert!(complaint.contains("access.root_key") && complaint.contains("/nowhere"));
}

#[test]
fn what_is_used_is_told_without_secrets() {
    let text = "[access]\nroot_key = \"007-secret\"\n[server]\nport = 81\n\
                [database]\nurl = \"postgres://plg:geheim@db/plg\"\n[plans.gold]\nimports = 1\n\
                exports = \"unlimited\"\nactive_users = 0";
    let told = Sources::of_text(text).unwrap().describe().unwrap();
    assert!(!told.contains("007") && !told.contains("geheim"), "{told}");
    assert_eq!(told.matches("[access]").count(), 1, "{told}");
    for line in ["[server]", "port = 81 ", "root_key = \"***\"", "[plans.gold]"] {
        assert!(told.contains(line), "no {line}: {told}");
    }
    assert!(told.contains("exports = \"unlimited\"") && told.contains("plg:***@db"), "{told}");
}

#[test]
fn unknown_keys_and_bad_values_are_errors() {
    let with = |text: &str| {
        let settings = Sources::of_text(text).and_then(|sources| sources.settings());
        settings.unwrap_err().to_string()
    };
    let complaint = with("[server]\nprot = 1");
    assert!(complaint.contains("server.prot (PLG__SERVER__PROT)"), "{complaint}");
    assert!(complaint.contains("did you mean server.port (PLG__SERVER__PORT)?"), "{complaint}");
    assert!(with("[servr]\ndrain_seconds = 1").contains("mean server.drain_seconds"));
    assert!(with("[plans.gold]\nimport = 1").contains("mean plans.gold.imports"));
    let complaint = with("[weather]\nrainy = true");
    assert!(complaint.contains("weather.rainy") && !complaint.contains("mean"), "{complaint}");
    assert!(with("[server]\nport = 99999").contains("server.port"));
    assert!(with("[writer]\nbatch = 0").contains("writer.batch must be 1 to 1000, got 0"));
    let complaint = with("[traces]\nsample_ratio = 1.5");
    assert!(complaint.contains("traces.sample_ratio must be 0 to 1, got 1.5"), "{complaint}");
    assert!(with("[traces]\nsample_ratio = nan").contains("got NaN"));
    assert!(with("[plans.standard]\nimports = -1").contains("-1"));
    assert!(with("[plans]\ndefault = \"gold\"").contains("gold"));
    assert!(with("[database]\nurl = \"mysql://x\"").contains("postgres://"));
}

#[test]
fn a_complaint_says_which_setting_and_what_it_may_be() {
    let limit = "must be a whole number from 0 to 9007199254740991, or unlimited, got";
    let address = "must be an IP address such as 127.0.0.1 or 0.0.0.0, got";
    for (text, complaint) in [
        (
            "[plans.gold]\nimports = 5\nexports = 1",
            "plans.gold.active_users (PLG__PLANS__GOLD__ACTIVE_USERS) is missing: a plan has imports, \
             exports and active_users",
        ),
        ("[plans.standard]\nimports = -1", &format!("plans.standard.imports {limit} -1")),
        ("[plans.standard]\nexports = \"many\"", &format!("plans.standard.exports {limit} many")),
        ("[log]\nformat = \"JSON\"", "log.format must be human or json, got JSON"),
        (
            "[access.jwt]\nalgorithm = \"rs256\"",
            "access.jwt.algorithm must be HS256, RS256 or EdDSA, or empty, got rs256",
        ),
        ("[server]\nhost = \"localhost\"", &format!("server.host {address} localhost")),
        ("[metrics]\nhost = \"\"", &format!("metrics.host {address} ")),
        ("[server]\nthreads = 513", "server.threads must be 0 to 512, got 513"),
        ("[server]\ndrain_seconds = 25000", "server.drain_seconds must be 0 to 3600, got 25000"),
        (
            "[server]\nready_grace_seconds = 5000",
            "server.ready_grace_seconds must be 0 to 3600, got 5000",
        ),
        ("[rollup]\npause_ms = 99999999", "rollup.pause_ms must be 0 to 60000, got 99999999"),
        ("[server]\nthreads = 100000", "server.threads must be 0 to 512, got 100000"),
    ] {
        let settings = Sources::of_text(text).and_then(|sources| sources.settings());
        assert_eq!(settings.unwrap_err().to_string(), format!("configuration: {complaint}"));
    }
}

#[test]
fn what_is_no_toml_is_explained_without_its_secrets() {
    let texts = [
        "[database]\nurl = \"postgres://plg:geheim@db/plg\n",
        "[access]\nsession_secret = geheim\n",
        "[access]\nsession_secret = \"a\"\nsession_secret = \"geheim\"\n",
    ];
    for text in texts {
        let Err(error) = Sources::of_text(text) else { panic!("{text} is read") };
        let complaint = error.to_string();
        assert!(complaint.starts_with("configuration: TOML parse error at line "), "{complaint}");
        assert!(!complaint.contains(":  ") && !complaint.ends_with(": "), "{complaint}");
        assert!(!complaint.contains("geheim") && !complaint.contains('\n'), "{complaint}");
    }
}

#[test]
fn urls_are_told_without_secrets() {
    let text = "[access.jwt]\njwks_url = \"https://u:geheim@login.example/keys?key=geheim\"\n\
                [traces]\nendpoint = \"http://u:geheim@collector:4318\"";
    let told = Sources::of_text(text).unwrap().describe().unwrap();
    assert!(!told.contains("geheim"), "{told}");
    assert!(told.contains("jwks_url = \"https://***@login.example/keys?***\""), "{told}");
    assert!(told.contains("endpoint = \"http://***@collector:4318\""), "{told}");
}
