//! Text to graphs.
//!
//! The grammar; names, types, arrays and numbers are those of index notation:
//!
//! ```text
//! graph   = "graph" name "{" { input | const | node } "return" value { "," value } "}"
//! input   = "input" value ":" type
//! const   = "const" value ":" type "=" array
//! node    = [ name ":" ] value ":" type { "," value ":" type } "=" operator "(" { operand } ")"
//!           [ "{" name "=" json { "," name "=" json } "}" ] { graph }
//! operand = value | "_"
//! value   = "%" name | "$" name
//! json    = number | name | "true" | "false" | "null" | "[" { json } "]" | "{" { name "=" json } "}"
//! ```

use std::collections::BTreeMap;

use nablac_index::lexer::{Lexer, Token};
use nablac_index::{Array, parse_array, parse_type};
use serde_json::{Map, Number, Value as Json};

use crate::error::Error;
use crate::graph::{Graph, Node, ValueId};
use crate::operator::Operator;

/// Reads a graph whose constants all stand in the text.
pub fn parse(text: &str) -> Result<Graph, Error> {
    parse_with(text, &BTreeMap::new())
}

/// Reads a graph; constants written as `@hash` are looked up in `constants`.
pub fn parse_with(text: &str, constants: &BTreeMap<String, Array>) -> Result<Graph, Error> {
    let mut lexer = Lexer::new(text)?;
    let graph = parse_graph(&mut lexer, constants)?;
    match lexer.peek() {
        Token::End => Ok(graph),
        _ => Err(lexer.expected("the end of the text").into()),
    }
}

/// Reads one graph from a text that may go on behind it.
pub fn parse_graph(lexer: &mut Lexer, constants: &BTreeMap<String, Array>) -> Result<Graph, Error> {
    lexer.expect_word("graph")?;
    let mut graph = Graph { name: lexer.expect_name("the graph's name")?, ..Graph::default() };
    lexer.expect_sign("{")?;
    while !lexer.at_word("return") {
        if lexer.take_word("input") {
            let id = declaration(lexer, &mut graph)?;
            graph.inputs.push(id);
        } else if lexer.take_word("const") {
            let id = declaration(lexer, &mut graph)?;
            lexer.expect_sign("=")?;
            let value = graph.value(id);
            let array = parse_array(lexer, value.dtype, &value.shape, constants)?;
            graph.values[id.0 as usize].constant = Some(array);
        } else {
            node(lexer, &mut graph, constants)?;
        }
    }
    lexer.expect_word("return")?;
    while !lexer.take_sign("}") {
        if !graph.outputs.is_empty() {
            lexer.expect_sign(",")?;
        }
        let output = reference(lexer, &graph)?;
        graph.outputs.push(output);
    }
    Ok(graph)
}

/// `%name` or `$name`.
fn value_name(lexer: &mut Lexer) -> Result<String, Error> {
    if !lexer.take_sign("%") && !lexer.take_sign("$") {
        return Err(lexer.expected("a value such as `%x`").into());
    }
    Ok(lexer.expect_name("the value's name")?)
}

fn declaration(lexer: &mut Lexer, graph: &mut Graph) -> Result<ValueId, Error> {
    let place = lexer.clone();
    let name = value_name(lexer)?;
    lexer.expect_sign(":")?;
    let (dtype, shape) = parse_type(lexer)?;
    if graph.values.iter().any(|value| value.name == name) {
        return Err(place.expected("a name that is not taken").into());
    }
    Ok(graph.add_value(&name, dtype, &shape, None))
}

fn reference(lexer: &mut Lexer, graph: &Graph) -> Result<ValueId, Error> {
    let error = lexer.expected("a value that is defined above");
    let name = value_name(lexer)?;
    graph.values().find(|(_, value)| value.name == name).map(|(id, _)| id).ok_or(error.into())
}

fn node(lexer: &mut Lexer, graph: &mut Graph, constants: &BTreeMap<String, Array>) -> Result<(), Error> {
    let label = match lexer.peek().clone() {
        Token::Name(label) => {
            lexer.next_token();
            lexer.expect_sign(":")?;
            Some(label)
        }
        _ => None,
    };
    let mut outputs = vec![declaration(lexer, graph)?];
    while lexer.take_sign(",") {
        outputs.push(declaration(lexer, graph)?);
    }
    lexer.expect_sign("=")?;
    let place = lexer.clone();
    let operator = lexer.expect_name("an operator")?;
    let mut inputs = vec![];
    lexer.expect_sign("(")?;
    while !lexer.take_sign(")") {
        if !inputs.is_empty() {
            lexer.expect_sign(",")?;
        }
        inputs.push(if lexer.take_word("_") { None } else { Some(reference(lexer, graph)?) });
    }
    let attributes = if lexer.at_sign("{") { object(lexer)? } else { Map::new() };
    let operator = Operator::from_attributes(&operator, Json::Object(attributes))
        .map_err(|problem| place.expected(&format!("an operator with its attributes ({problem})")))?;
    let mut regions = vec![];
    while lexer.at_word("graph") {
        regions.push(parse_graph(lexer, constants)?);
    }
    let name = label.unwrap_or_else(|| graph.value(outputs[0]).name.clone());
    graph.nodes.push(Node { name, operator, inputs, outputs, regions });
    Ok(())
}

fn object(lexer: &mut Lexer) -> Result<Map<String, Json>, Error> {
    let fields = lexer.list("{", "}", |lexer| {
        let name = lexer.expect_name("an attribute")?;
        lexer.expect_sign("=")?;
        Ok((name, json(lexer)?))
    })?;
    Ok(fields.into_iter().collect())
}

fn json(lexer: &mut Lexer) -> Result<Json, nablac_index::Error> {
    let error = lexer.expected("a number, a word, `[` or `{`");
    for (word, value) in [("true", Json::Bool(true)), ("false", Json::Bool(false)), ("null", Json::Null)] {
        if lexer.take_word(word) {
            return Ok(value);
        }
    }
    if lexer.at_sign("[") {
        return lexer.list("[", "]", json).map(Json::Array);
    }
    if lexer.at_sign("{") {
        return object(lexer).map(Json::Object).map_err(|_| error);
    }
    let negative = lexer.take_sign("-");
    match lexer.next_token() {
        Token::Name(text) if !negative => Ok(Json::String(text)),
        Token::Number(digits) => {
            let text = if negative { format!("-{digits}") } else { digits };
            text.parse::<Number>().map(Json::Number).map_err(|_| error)
        }
        _ => Err(error),
    }
}
