//! Libraries of hardware instructions, as data.

use nablac_index::lexer::{Lexer, Token};
use nablac_loops::{Library, parse_library};

use crate::Error;

/// The libraries that come with the compiler, by name. A new one is a file in `data/instructions/` and a row here.
const BUILT_IN: &[(&str, &str)] = &[
    ("armv7e-m", include_str!("../data/instructions/armv7e-m.nab")),
    ("aarch64", include_str!("../data/instructions/aarch64.nab")),
    ("x86-64-v3", include_str!("../data/instructions/x86-64-v3.nab")),
    ("x86-64-v4", include_str!("../data/instructions/x86-64-v4.nab")),
    ("armv8.1-m-mve", include_str!("../data/instructions/armv8.1-m-mve.nab")),
];

/// The library of this name.
pub fn load(name: &str) -> Result<Library, Error> {
    let error = |message: String| Error::Instructions { name: name.to_owned(), message };
    let known = BUILT_IN.iter().find(|(known, _)| *known == name);
    let (_, text) = known.ok_or_else(|| {
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        error(format!("there is no such library; there are {}", names.join(", ")))
    })?;
    let mut lexer = Lexer::new(text).map_err(|e| error(e.to_string()))?;
    let library = parse_library(&mut lexer).map_err(|e| error(e.to_string()))?;
    match lexer.peek() {
        Token::End => Ok(library),
        _ => Err(error(lexer.expected("the end of the text").to_string())),
    }
}
