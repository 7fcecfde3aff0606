//! A directory's files as a map, for comparing sites.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every file below `root` but hidden ones, by its path with `/` between parts.
pub(crate) fn read(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![(root.to_owned(), String::new())];
    while let Some((directory, prefix)) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let entry = entry.expect("the directory is readable");
            let name = entry.file_name().into_string().expect("names are ASCII");
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            if entry.file_type().expect("the entry exists").is_dir() {
                open.push((entry.path(), format!("{path}/")));
            } else {
                files.insert(path, fs::read_to_string(entry.path()).expect("files of a site are text"));
            }
        }
    }
    files
}
