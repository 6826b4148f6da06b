//! Two users of one machine, one of them hostile, and root: who may own, write and link what `c13 run` keeps its state in.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::processes::{Finished, Scene, program};
use super::{alone, assert_none_wrong};

const USER: &str = "12345";
const HOSTILE: &str = "65534";

/// Long for a refusal; a hang is what it tells.
const ENDS: Duration = Duration::from_secs(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    User,
    Root,
}

/// What needs state.
pub(crate) const RUNS: [(&str, &str); 3] = [
    ("lock", "--lock k --nonblock"),
    ("limit", "--limit 1000/s --limit-key m --nonblock"),
    ("breaker", "--breaker b"),
];

/// A folder in the place of ours: how it is made at `$D`, by `hostile` or by us, and a word of the refusal's rule.
const FOLDERS: [(&str, &str, &[&str]); 13] = [
    ("another user's, 0777", "mkdir -m 0777 $D; chown $HOSTILE $D", OWNER),
    ("another user's, 1777", "mkdir -m 1777 $D; chown $HOSTILE $D", OWNER),
    ("another user's, 0755", "mkdir -m 0755 $D; chown $HOSTILE $D", OWNER),
    (
        "another user's, 0700",
        "mkdir -m 0700 $D; chown $HOSTILE $D",
        DENIED_OR_OWNER,
    ),
    (
        "a link to a folder of root",
        "mkdir -m 0755 $OTHER; ln -s $OTHER $D; chown -h $HOSTILE $D",
        LINK,
    ),
    (
        "a link to a folder of our own",
        "mkdir -m 0700 $OTHER; chown $ME $OTHER; ln -s $OTHER $D; chown -h $HOSTILE $D",
        LINK,
    ),
    ("a link to nothing", "ln -s $OTHER $D; chown -h $HOSTILE $D", LINK),
    ("a link to itself", "ln -s $D $D", LINK),
    ("a file", "echo precious > $D; chown $HOSTILE $D", FOLDER),
    ("a pipe", "mkfifo $D; chown $HOSTILE $D", FOLDER),
    ("ours, 0777", "mkdir -m 0777 $D; chown $ME $D", WRITE),
    ("ours, 1777", "mkdir -m 1777 $D; chown $ME $D", WRITE),
    ("ours, 0775", "mkdir -m 0775 $D; chown $ME $D", WRITE),
];

pub(crate) const OWNER: &[&str] = &["belong", "own"];
const DENIED_OR_OWNER: &[&str] = &["belong", "own", "denied"];
pub(crate) const LINK: &[&str] = &["link"];
const FOLDER: &[&str] = &["folder", "directory"];
pub(crate) const WRITE: &[&str] = &["written to"];

/// The words that each script begins with: `run` is the program, as the actor, with nothing to say where its state is but
/// the defaults; `tell` prints a status, what was said, and whether the precious file is as it was.
const PRELUDE: &str = r#"
set -u
OTHER=$SCENE/other PRECIOUS=$SCENE/precious
if [ $ACTOR = root ]; then
  ME=0
  mount -t tmpfs -o mode=0755 none /run && mount -t tmpfs -o mode=0755 none /var/lib || exit 200
  PLACES="/run/c13 /var/lib/c13"
  # On one file system with the state, for hard links.
  PRECIOUS=/var/lib/precious
  as() { "$@"; }
else
  ME=$USER_ID
  mkdir -m 0755 $SCENE/base; chown $ME $SCENE/base
  PLACES=$SCENE/base/c13
  as() { setpriv --reuid $ME --regid $ME --clear-groups "$@"; }
fi
echo precious > $PRECIOUS; chmod 0644 $PRECIOUS
before=$(stat -c '%a %u %s' $PRECIOUS)
run() { as env -u C13_STATE_DIR -u XDG_RUNTIME_DIR XDG_STATE_HOME=$SCENE/base TMPDIR=$SCENE/base \
  timeout -k 1 5 $SCENE/c13 run "$@" -- true 2>$SCENE/err; }
tell() {
  status=$?
  after=$(stat -c '%a %u %s' $PRECIOUS)
  [ "$(cat $PRECIOUS)" = precious ] && [ "$before" = "$after" ] && [ ! -e $PRECIOUS.new ] && safe=safe || safe=CHANGED
  echo "$status|$safe|$1|$(tr '\n' ' ' < $SCENE/err)"
}
"#;

/// Whether a test is root and can mount; says why it is skipped if not.
pub(crate) fn has_means() -> bool {
    let means = means();
    if let Err(reason) = &means {
        println!("skipped: {reason}");
    }
    means.is_ok()
}

fn means() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can become other users".to_owned());
    }
    let unshared = Command::new("unshare").args(["-m", "true"]).output();
    match unshared {
        Ok(output) if output.status.success() => Ok(()),
        other => Err(format!("no file system can be mounted here: {other:?}")),
    }
}

/// A scene that other users can enter, with the program in it.
pub(crate) fn scene() -> Scene {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new("users");
    fs::set_permissions(&scene.folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::copy(program(), scene.folder.join("c13")).expect("the program can be copied");
    scene
}

pub(crate) fn script(scene: &Scene, actor: Actor, words: &str) -> Finished {
    let text = format!("{PRELUDE}\n{words}");
    let mut command = if actor == Actor::Root {
        scene.command("unshare", &["-m", "sh", "-c", &text])
    } else {
        scene.command("sh", &["-c", &text])
    };
    command
        .env("SCENE", &scene.folder)
        .env("ACTOR", if actor == Actor::Root { "root" } else { "user" })
        .env("USER_ID", USER)
        .env("HOSTILE", HOSTILE);
    scene.finish(command, ENDS)
}

/// One run that was told: its status, whether nothing foreign was touched, which place was prepared, what was said.
pub(crate) struct Told {
    pub(crate) status: String,
    pub(crate) safe: bool,
    pub(crate) place: String,
    pub(crate) said: String,
}

pub(crate) fn told(finished: &Finished) -> Vec<Told> {
    let line = |line: &str| {
        let mut parts = line.splitn(4, '|').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Told {
            status: part(),
            safe: part() == "safe",
            place: part(),
            said: part(),
        }
    };
    finished.out.lines().map(line).collect()
}

/// What is wrong with a run that must be refused.
pub(crate) fn refused(told: &Told, rule: &[&str]) -> Option<String> {
    let Told {
        status,
        safe,
        place,
        said,
    } = told;
    let words = rule.iter().any(|word| said.replace(place.as_str(), "").contains(word));
    let right = status == "125" && *safe && said.contains(place.as_str()) && words;
    let safe = if *safe { "" } else { ", a foreign file was CHANGED" };
    (!right).then(|| format!("status {status}{safe}, not 125 with {place} and one of {rule:?}: {said}"))
}

#[test]
fn a_folder_that_is_not_ours_alone_is_refused() {
    let _turn = alone();
    if !has_means() {
        return;
    }
    let mut faults = Vec::new();
    for actor in [Actor::User, Actor::Root] {
        for (what, options) in RUNS {
            let mut words = String::new();
            for (_, make, _) in FOLDERS {
                words.push_str(&format!("for D in $PLACES; do {make}; done\nrun {options}; tell $D\n"));
                words.push_str("rm -rf $PLACES $OTHER\n");
            }
            let finished = script(&scene(), actor, &words);
            let lines = told(&finished);
            assert_eq!(lines.len(), FOLDERS.len(), "{actor:?}, {what}: {finished:?}");
            for (told, (name, _, rule)) in lines.iter().zip(FOLDERS) {
                // Any of root's places may be the one.
                let told = Told {
                    place: told.place.replace("/var/lib", ""),
                    said: told.said.clone(),
                    status: told.status.clone(),
                    ..*told
                };
                faults.extend(refused(&told, rule).map(|fault| format!("{actor:?}, {what}, {name}: {fault}")));
            }
        }
    }
    assert_none_wrong(&faults);
}

#[test]
fn links_in_the_temporary_folder_lead_nowhere() {
    let _turn = alone();
    if !has_means() {
        return;
    }
    // The folder that any user can make first, which is not a default any more.
    let words = r#"
mkdir -p -m 0777 $SCENE/base; chmod 0777 $SCENE/base
mkdir -m 0777 $SCENE/base/c13; chown $HOSTILE $SCENE/base/c13
for name in k.fence k.lock 6b.fence 6b.lock 6d.limit m.limit 6331333a636972637569743a62.cell; do
  ln -s $PRECIOUS $SCENE/base/c13/$name
done
run --lock k --nonblock; tell -
run --limit 1000/s --limit-key m --nonblock; tell -
run --breaker b; tell -
"#;
    let finished = script(&scene(), Actor::Root, words);
    let lines = told(&finished);
    assert_eq!(lines.len(), 3, "{finished:?}");
    for told in lines {
        assert!(
            told.safe && told.status == "0",
            "status {}: {} {finished:?}",
            told.status,
            told.said
        );
    }
}
