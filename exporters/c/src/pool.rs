//! The threads in the generated files, where any loop is parallel.
//!
//! Owns the pool's own files, and what header, source, self-test and CMake say of it.

use nablac_loops::Program;

/// Whether there is a pool.
pub fn exists(program: &Program) -> bool {
    program.threads() > 1
}

/// A text for programs with a pool.
pub fn only(program: &Program, text: &'static str) -> &'static str {
    if exists(program) { text } else { "" }
}

/// The pool's header and source, with their places of the library's name to be filled in.
pub const HEADER: &str = include_str!("../templates/pool.h");
pub const SOURCE: &str = include_str!("../templates/pool.c");

/// What CMake says of it.
pub const CMAKE: &str = include_str!("../templates/threads.cmake");

/// What the public header says in front of the context, in the context and behind it; and its status, with its number and what it means.
pub const TYPE: &str = include_str!("../templates/pool_type.h");
pub const STATUS: (&str, u32, &str) = ("ERROR_THREADS", 4, "the system has no more threads");
pub const FIELD: &str = "    @NAME@_pool_t *pool;\n";
pub const DECLARATION: &str = include_str!("../templates/set_pool.h");

/// What `NAME.c` says: in `NAME_init`, and behind it.
pub const INIT: &str = "    ctx->pool = NULL;\n";
pub const DEFINITION: &str = include_str!("../templates/set_pool.c");

/// What the self-test says: it runs its vectors on the pool, then without.
pub const TEST: &str = include_str!("../templates/pool_test.c");
