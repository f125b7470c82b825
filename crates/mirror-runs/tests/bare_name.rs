//! Test of a group that is named by its bare name in the folder of runs. It changes the current folder of the process,
//! so it is the only test of its program.

use mirror_runs::{Found, Group, find_run_or_group};

#[test]
fn a_group_in_the_current_folder_is_found_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (group, _) = Group::create(folder.path(), "copycats", 2, 7).expect("a group");
    std::env::set_current_dir(folder.path()).expect("the current folder is changed");
    let found = find_run_or_group("runs", &group.id).expect("a group");
    let Found::Group(found) = found else {
        panic!("{} is a group", group.id)
    };
    assert_eq!(found.group, group);
}
