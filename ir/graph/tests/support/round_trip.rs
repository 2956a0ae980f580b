//! Text and back.

use nablac_graph::{Graph, parse_with};

/// `parse(print(g)) == g`.
pub fn check(graph: &Graph) -> Result<(), String> {
    let text = graph.to_string();
    let back = parse_with(&text, &graph.constants()).map_err(|e| format!("{e}\n{text}"))?;
    if back == *graph { Ok(()) } else { Err(format!("printed:\n{text}\nread:\n{back}")) }
}
