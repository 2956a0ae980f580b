//! Text to graphs.
//!
//! The grammar:
//!
//! ```text
//! graph     = "graph" name "{" { input | state | constant | node | output } "}"
//! input     = "input" "%" name ":" type [ scaled ]
//! state     = "state" "%" name ":" type [ scaled ] "=" array "then" value
//! constant  = "const" "$" name ":" type [ scaled ] "=" array
//! array     = "[" { literal } "]" | "@" hash
//! node      = [ label ":" ] result { "," result } "=" operator "(" { value | "_" } ")" [ fields ]
//!             [ "quantized" requantization ] { graph }
//! result    = value [ ":" element scaled ]
//! scaled    = "scale" number "zero" integer | "scale" "[" { number } "]" "zero" "[" { integer } "]" "axis" integer
//! output    = "output" value
//! value     = ( "%" | "$" ) name
//! fields    = "{" { name "=" attribute } "}"
//! attribute = number | text | "true" | "false" | "null" | "[" { attribute } "]" | fields
//! ```
//!
//! A value is defined before it is read. The types of what a node writes follow from its operator; the printer says them in
//! a comment. The graphs behind a node are its subgraphs.

use std::collections::BTreeMap;

use nablac_index::lexer::{Lexer, Token};
use nablac_index::{Array, DType, parse_array, parse_type};
use serde_json::{Map, Number, Value as Json};

use crate::error::Error;
use crate::graph::{Graph, Node, Quantized, State, ValueId};
use crate::operator::Operator;
use crate::quantization::{Quantization, Requantization};

/// The deepest nesting of subgraphs and of attributes that is read.
const DEPTH: usize = 64;

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
    graph_within(lexer, constants, 0)
}

fn graph_within(
    lexer: &mut Lexer,
    constants: &BTreeMap<String, Array>,
    depth: usize,
) -> Result<Graph, Error> {
    let error = lexer.expected(&format!("at most {DEPTH} graphs within each other"));
    if depth > DEPTH {
        return Err(error.into());
    }
    lexer.expect_word("graph")?;
    let name = lexer.expect_name("the graph's name")?;
    lexer.expect_sign("{")?;
    let graph = Graph { name, ..Graph::default() };
    let mut parser = Parser { lexer, constants, graph, names: BTreeMap::new(), next: vec![], depth };
    while !parser.lexer.take_sign("}") {
        parser.item()?;
    }
    parser.next_values()?;
    Ok(parser.graph)
}

struct Parser<'a> {
    lexer: &'a mut Lexer,
    constants: &'a BTreeMap<String, Array>,
    graph: Graph,
    names: BTreeMap<String, ValueId>,
    /// Where the next values of the states stand, which are defined behind them.
    next: Vec<Lexer>,
    depth: usize,
}

impl Parser<'_> {
    fn item(&mut self) -> Result<(), Error> {
        let labelled = matches!(self.lexer.peek_at(1), Token::Sign(":"));
        if !labelled && self.lexer.take_word("input") {
            let name = self.free_name("%")?;
            self.lexer.expect_sign(":")?;
            let (dtype, shape) = parse_type(self.lexer)?;
            let id = self.graph.add_value(&name, dtype, &shape, None);
            self.graph.values[id.0 as usize].quantization = scaled(self.lexer)?;
            self.graph.inputs.push(id);
            self.names.insert(name, id);
        } else if !labelled && self.lexer.take_word("const") {
            let name = self.free_name("$")?;
            self.lexer.expect_sign(":")?;
            let (dtype, shape) = parse_type(self.lexer)?;
            let quantization = scaled(self.lexer)?;
            self.lexer.expect_sign("=")?;
            let array = parse_array(self.lexer, dtype, &shape, self.constants)?;
            let id = self.graph.add_constant(&name, array);
            self.graph.values[id.0 as usize].quantization = quantization;
            self.names.insert(name, id);
        } else if !labelled && self.lexer.take_word("state") {
            self.state()?;
        } else if !labelled && self.lexer.take_word("output") {
            let id = self.value()?;
            self.graph.outputs.push(id);
        } else {
            self.node()?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<(), Error> {
        let name = self.free_name("%")?;
        self.lexer.expect_sign(":")?;
        let (dtype, shape) = parse_type(self.lexer)?;
        let quantization = scaled(self.lexer)?;
        self.lexer.expect_sign("=")?;
        let initial = parse_array(self.lexer, dtype, &shape, self.constants)?;
        self.lexer.expect_word("then")?;
        self.next.push(self.lexer.clone());
        if !self.lexer.take_sign("$") {
            self.lexer.expect_sign("%")?;
        }
        self.lexer.expect_name("the state's next value")?;
        let value = self.graph.add_value(&name, dtype, &shape, None);
        self.graph.values[value.0 as usize].quantization = quantization;
        self.graph.states.push(State { value, initial, next: value });
        self.names.insert(name, value);
        Ok(())
    }

    fn next_values(&mut self) -> Result<(), Error> {
        for (position, mut place) in std::mem::take(&mut self.next).into_iter().enumerate() {
            std::mem::swap(self.lexer, &mut place);
            let next = self.value();
            std::mem::swap(self.lexer, &mut place);
            self.graph.states[position].next = next?;
        }
        Ok(())
    }

    fn node(&mut self) -> Result<(), Error> {
        let mut name = String::new();
        if let Token::Name(label) = self.lexer.peek().clone() {
            self.lexer.next_token();
            self.lexer.expect_sign(":")?;
            name = label;
        }
        let mut outputs = vec![self.free_name("%")?];
        let mut quantized = vec![self.quantized()?];
        while self.lexer.take_sign(",") {
            let output = self.free_name("%")?;
            if outputs.contains(&output) {
                return Err(self.lexer.expected(&format!("a name other than `{output}` before this")).into());
            }
            outputs.push(output);
            quantized.push(self.quantized()?);
        }
        self.lexer.expect_sign("=")?;
        let spelled = self.lexer.expect_name("an operator")?;
        let inputs = self.operands()?;
        let attributes = match self.lexer.at_sign("{") {
            true => attribute(self.lexer, 0)?,
            false => Json::Object(Map::new()),
        };
        let mut requantization = None;
        if self.lexer.take_word("quantized") {
            let error = self.lexer.expected("how results are requantized: double, single, f64 or f32");
            let name = self.lexer.expect_name("how results are requantized")?;
            requantization = Some(Requantization::from_name(&name).ok_or(error)?);
        }
        let mut regions = vec![];
        while self.lexer.at_word("graph") {
            regions.push(graph_within(self.lexer, self.constants, self.depth + 1)?);
        }
        let refused =
            |problem| Error::Malformed { node: outputs.join(", "), operator: spelled.clone(), problem };
        let operator = Operator::from_attributes(&spelled, attributes).map_err(refused)?;
        let node = Node { name, operator, inputs, outputs: vec![], regions, requantization };
        let ids = self.graph.add(node, &quantized)?;
        if ids.len() != outputs.len() {
            return Err(refused(format!("it gives {} values", ids.len())));
        }
        for (id, output) in ids.into_iter().zip(outputs) {
            self.graph.values[id.0 as usize].name = output.clone();
            self.names.insert(output, id);
        }
        Ok(())
    }

    /// What stands behind the name of a result that is quantized.
    fn quantized(&mut self) -> Result<Option<Quantized>, Error> {
        if !self.lexer.take_sign(":") {
            return Ok(None);
        }
        let error = self.lexer.expected("an element type");
        let name = self.lexer.expect_name("an element type")?;
        let dtype = DType::from_name(&name).ok_or(error)?;
        let error = self.lexer.expected("`scale`");
        Ok(Some(Quantized { dtype, quantization: scaled(self.lexer)?.ok_or(error)? }))
    }

    fn operands(&mut self) -> Result<Vec<Option<ValueId>>, Error> {
        let mut inputs = vec![];
        self.lexer.expect_sign("(")?;
        while !self.lexer.take_sign(")") {
            if !inputs.is_empty() {
                self.lexer.expect_sign(",")?;
            }
            inputs.push(if self.lexer.take_word("_") { None } else { Some(self.value()?) });
        }
        Ok(inputs)
    }

    /// A value that is defined.
    fn value(&mut self) -> Result<ValueId, Error> {
        let error = self.lexer.expected("a value that is defined above");
        let constant = self.lexer.take_sign("$");
        if !constant {
            self.lexer.expect_sign("%")?;
        }
        let name = self.lexer.expect_name("a value's name")?;
        let id = self.names.get(&name).copied();
        let id = id.filter(|&id| self.graph.value(id).constant.is_some() == constant);
        id.ok_or_else(|| error.into())
    }

    /// A name behind `sign` that no value has yet.
    fn free_name(&mut self, sign: &str) -> Result<String, Error> {
        self.lexer.expect_sign(sign)?;
        let error = self.lexer.expected("a name that is not taken");
        let name = self.lexer.expect_name("a value's name")?;
        if self.names.contains_key(&name) { Err(error.into()) } else { Ok(name) }
    }
}

/// Reads scales and zero points, if they stand there.
fn scaled(lexer: &mut Lexer) -> Result<Option<Quantization>, Error> {
    if !lexer.take_word("scale") {
        return Ok(None);
    }
    let error = lexer.expected("a scale or a list of scales");
    let scales = attribute(lexer, 0)?;
    lexer.expect_word("zero")?;
    let zeros = attribute(lexer, 0)?;
    let scale = |number: &Json| number.as_f64().map(|scale| scale as f32);
    let quantization = match (&scales, &zeros) {
        (Json::Array(scales), Json::Array(zeros)) => {
            lexer.expect_word("axis")?;
            let axis = usize::try_from(lexer.expect_integer("an axis")?).ok();
            let scales: Option<Vec<f32>> = scales.iter().map(scale).collect();
            let zero_points: Option<Vec<i64>> = zeros.iter().map(Json::as_i64).collect();
            scales.zip(zero_points).zip(axis).map(|((scales, zero_points), axis)| Quantization {
                scales,
                zero_points,
                axis,
            })
        }
        _ => scale(&scales).zip(zeros.as_i64()).map(|(scale, zero)| Quantization::per_tensor(scale, zero)),
    };
    quantization.map(Some).ok_or_else(|| error.into())
}

/// Reads an attribute.
fn attribute(lexer: &mut Lexer, depth: usize) -> Result<Json, Error> {
    let error = lexer.expected("an attribute: a number, a text, a list or fields in braces");
    if depth > DEPTH {
        return Err(error.into());
    }
    for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
        if lexer.take_word(word) {
            return Ok(value);
        }
    }
    let negative = lexer.take_sign("-");
    match lexer.peek().clone() {
        Token::Number(digits) => {
            lexer.next_token();
            let text = if negative { format!("-{digits}") } else { digits };
            number(&text).map(Json::Number).ok_or_else(|| error.into())
        }
        _ if negative => Err(error.into()),
        Token::Name(text) => {
            lexer.next_token();
            Ok(Json::String(text))
        }
        Token::Sign("[") => items(lexer, "[", "]", |lexer| attribute(lexer, depth + 1)).map(Json::Array),
        Token::Sign("{") => {
            let field = |lexer: &mut Lexer| {
                let name = lexer.expect_name("an attribute's name")?;
                lexer.expect_sign("=")?;
                Ok((name, attribute(lexer, depth + 1)?))
            };
            let fields = items(lexer, "{", "}", field)?;
            Ok(Json::Object(fields.into_iter().collect()))
        }
        _ => Err(error.into()),
    }
}

/// Digits without a point or exponent are an integer.
fn number(text: &str) -> Option<Number> {
    if text.contains(['.', 'e']) {
        return text.parse().ok().and_then(Number::from_f64);
    }
    text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok()
}

fn items<T>(
    lexer: &mut Lexer,
    open: &str,
    close: &str,
    item: impl Fn(&mut Lexer) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    lexer.expect_sign(open)?;
    let mut items = vec![];
    while !lexer.take_sign(close) {
        if !items.is_empty() {
            lexer.expect_sign(",")?;
        }
        items.push(item(lexer)?);
    }
    Ok(items)
}
