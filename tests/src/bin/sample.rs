//! Makes the sample episode anew: `cargo run -p podswarm-tests --bin sample`.

fn main() {
    podswarm_tests::audio::make_sample();
}
