//! What every HTTP port of ours needs below its server: places for those who come, an end for those who only wait.

mod guard;
mod quota;

pub use guard::Guarded;
pub use quota::{Place, Quota};
