//! Files that another user, or chance, put where `c13 run` keeps its state, and folders that a group shares on purpose.

use super::users::{Actor, LINK, OWNER, RUNS, Told, WRITE, has_means, refused, scene, script, told};
use super::{alone, assert_none_wrong};

/// A file in the place of ours, at `$F`.
const FILES: [(&str, &str, &[&str]); 9] = [
    ("a link to a file of root", "ln -s $PRECIOUS $F", LINK),
    ("a link to nothing", "ln -s $PRECIOUS.new $F", LINK),
    (
        "a hard link to a file of root",
        "ln $PRECIOUS $F",
        &["link", "belong", "own"],
    ),
    ("a pipe", "mkfifo $F; chown $ME $F", REGULAR),
    ("a folder", "mkdir $F; chown $ME $F", REGULAR),
    ("a device", "mknod $F c 1 3; chown $ME $F", REGULAR),
    (
        "another user's",
        "cp $PRECIOUS $F; chmod 0666 $F; chown $HOSTILE $F",
        OWNER_OR_WRITE,
    ),
    (
        "ours, for others to write",
        "touch $F; chmod 0646 $F; chown $ME $F",
        WRITE,
    ),
    (
        "ours, for its group to write",
        "touch $F; chmod 0664 $F; chown $ME $F",
        WRITE,
    ),
];

/// What is wrong with a run that has found the planted file whose row its report begins with. `more` words fit its refusal too.
fn fault_of(told: Told, more: &[&str]) -> Option<String> {
    let (index, said) = told.said.split_once('|').expect("the row's number comes first");
    let (name, _, rule) = FILES[index.parse::<usize>().expect("it is a number")];
    let said = said.to_owned();
    let rule: Vec<&str> = rule.iter().chain(more).copied().collect();
    refused(&Told { said, ..told }, &rule).map(|fault| format!("{name}: {fault}"))
}

const OWNER_OR_WRITE: &[&str] = &["belong", "own", "written to"];
const REGULAR: &[&str] = &["regular", "not a file"];

#[test]
fn a_file_that_is_not_a_regular_one_of_ours_is_refused() {
    let _turn = alone();
    if !has_means() {
        return;
    }
    let mut faults = Vec::new();
    for actor in [Actor::User, Actor::Root] {
        for (what, options) in RUNS {
            let mut words = format!("run {options}; tell -\nALL=$(find $PLACES -type f 2>/dev/null)\n");
            for (index, (_, plant, _)) in FILES.iter().enumerate() {
                words.push_str(&format!(
                    "for F in $ALL; do rm -rf $F; {plant}; run {options}; tell \"$F|{index}\"; rm -rf $F; done\n"
                ));
                // What a refusal left out is made again.
                words.push_str(&format!("run {options}; tell -\n"));
            }
            let finished = script(&scene(), actor, &words);
            let mut planted = 0;
            for told in told(&finished) {
                if told.place == "-" {
                    if told.status != "0" {
                        faults.push(format!(
                            "{actor:?}, {what}: an ordinary run ends with {}: {}",
                            told.status, told.said
                        ));
                    }
                    continue;
                }
                planted += 1;
                faults.extend(fault_of(told, &[]).map(|fault| format!("{actor:?}, {what}, {fault}")));
            }
            assert!(planted >= FILES.len(), "{actor:?}, {what}: {finished:?}");
        }
    }
    assert_none_wrong(&faults);
}

#[test]
fn a_folder_is_shared_on_purpose_with_a_group_and_nobody_else() {
    let _turn = alone();
    if !has_means() {
        return;
    }
    let group = "23456";
    let words = format!(
        r#"
S=$SCENE/shared; export C13_STATE_DIR=$S
shared() {{ who=$1; groups=$2; shift 2; setpriv --reuid $who --regid $who --groups $groups timeout -k 1 5 $SCENE/c13 run "$@" -- true 2>$SCENE/err; }}
rounds() {{
  for options in "--lock k --nonblock" "--limit 1000/s --limit-key m --nonblock" "--breaker b"; do
    "$@" $options; tell $S
  done
}}
# 0: two members of the group, one after the other, and root.
mkdir -m 2770 $S; chown 0:{group} $S; chmod 2770 $S
rounds shared 12345 {group}; rounds shared 12346 {group}; rounds shared 0 0
# 9: somebody else.
rounds shared $HOSTILE $HOSTILE
# 12: for all to write.
rm -rf $S; mkdir -m 0777 $S; rounds shared 0 0
rm -rf $S; mkdir -m 1777 $S; rounds shared 0 0
# 18: another user's.
rm -rf $S; mkdir -m 0755 $S; chown $HOSTILE $S; rounds shared 12345 12345
"#
    );
    let finished = script(&scene(), Actor::User, &words);
    let lines = told(&finished);
    assert_eq!(lines.len(), 21, "{finished:?}");
    let mut faults = Vec::new();
    for (index, told) in lines.iter().enumerate() {
        let fault = match index {
            0..9 => (told.status != "0" || !told.safe).then(|| format!("status {}: {}", told.status, told.said)),
            9..12 => refused(told, &["denied", "belong", "own", "group"]),
            12..18 => refused(told, WRITE),
            _ => refused(told, &["denied", "belong", "own"]),
        };
        faults.extend(fault.map(|fault| format!("run {index}: {fault}")));
    }
    assert_none_wrong(&faults);
}

#[test]
fn what_a_member_of_the_group_plants_is_refused() {
    let _turn = alone();
    if !has_means() {
        return;
    }
    let mut faults = Vec::new();
    for (what, options) in RUNS {
        let mut words = format!(
            r#"
S=/var/lib/shared; mkdir -m 2770 $S; chown 0:23456 $S; chmod 2770 $S
run() {{ C13_STATE_DIR=$S timeout -k 1 5 $SCENE/c13 run "$@" -- true 2>$SCENE/err; }}
run {options}; tell -
ALL=$(find $S -type f)
"#
        );
        // Not those that say what a group may do to files of its own.
        for (index, (_, plant, _)) in FILES.iter().enumerate().take(6) {
            words.push_str(&format!(
                "for F in $ALL; do rm -rf $F; {plant}; chown -h $HOSTILE $F; before=$(stat -c '%a %u %s' $PRECIOUS); \
                 run {options}; tell \"$F|{index}\"; rm -rf $F; chown 0 $PRECIOUS; before=$(stat -c '%a %u %s' $PRECIOUS); done\n"
            ));
        }
        let finished = script(&scene(), Actor::Root, &words);
        let mut planted = 0;
        for told in told(&finished).into_iter().filter(|told| told.place != "-") {
            planted += 1;
            faults.extend(fault_of(told, OWNER).map(|fault| format!("{what}, {fault}")));
        }
        assert!(planted >= 6, "{what}: {finished:?}");
    }
    assert_none_wrong(&faults);
}
