//! Where a web server has each of a torrent's files. BEP 19.

use super::Info;
use super::magnet::escaped;

impl Info {
    /// The URL of the file number `file` at the web seed `base`.
    ///
    /// To a URL that ends in a slash the torrent's name is added, and to that, for a folder, the file's path; the URL
    /// of a folder is taken to end in a slash even where it does not. What follows a `?` stays behind the path.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn web_seed_url(&self, base: &str, file: usize) -> String {
        let (path, query) = base.find(['?', '#']).map_or((base, ""), |at| base.split_at(at));
        if self.is_single_file && !path.ends_with('/') {
            return base.to_owned();
        }
        let names = self.name.components().chain(
            // A lone file's path is its name.
            (!self.is_single_file).then(|| self.files[file].path.components()).into_iter().flatten(),
        );
        let mut url = path.trim_end_matches('/').to_owned();
        for name in names {
            url.push('/');
            url.push_str(&escaped(name).to_string());
        }
        url + query
    }
}

#[cfg(test)]
mod tests {
    use crate::metainfo::{FileEntry, Info, MetainfoBuilder, TorrentPath};

    fn file() -> Info {
        let name = TorrentPath::new(["Ep #1 ä.mp3"]).unwrap();
        MetainfoBuilder::file(name, 1, 16_384, [[7; 20]].into_iter().collect()).build().unwrap().info
    }

    fn folder() -> Info {
        let name = TorrentPath::new(["A book"]).unwrap();
        let paths = [["CD 1", "1.mp3"], ["CD 2", "a?b.mp3"]];
        let files = paths.map(|path| FileEntry::new(TorrentPath::new(path).unwrap(), 10)).to_vec();
        MetainfoBuilder::folder(name, files, 16_384, [[7; 20]].into_iter().collect()).build().unwrap().info
    }

    #[test]
    fn a_files_url_is_whole_or_a_folder_that_has_it() {
        let info = file();
        assert_eq!(info.web_seed_url("http://w.example/get?id=1", 0), "http://w.example/get?id=1");
        assert_eq!(info.web_seed_url("http://w.example/a/", 0), "http://w.example/a/Ep%20%231%20%C3%A4.mp3");
        assert_eq!(info.web_seed_url("http://w.example/?key=1", 0), "http://w.example/Ep%20%231%20%C3%A4.mp3?key=1");
    }

    #[test]
    fn a_folders_files_lie_below_its_name() {
        let info = folder();
        for base in ["http://w.example/a", "http://w.example/a/"] {
            assert_eq!(info.web_seed_url(base, 0), "http://w.example/a/A%20book/CD%201/1.mp3");
            assert_eq!(info.web_seed_url(base, 1), "http://w.example/a/A%20book/CD%202/a%3Fb.mp3");
        }
        assert_eq!(info.web_seed_url("http://w.example/", 0), "http://w.example/A%20book/CD%201/1.mp3");
    }
}
