//! Inputs that stay with the caller: those that come by rows, and those that are read where they are.
//!
//! Owns what the header, the context, `NAME_run` and the self-test say of them.

use nablac_index::TensorId;
use nablac_loops::{Buffer, Delivery, Feed, Program, Receive, Role};

use crate::error::Error;
use crate::identifiers::Identifiers;
use crate::literal::c_type;
use crate::source::Steps;

/// The status of a run whose caller has not delivered a row.
pub const STATUS: (&str, u32, &str) = ("ERROR_INPUT", 5, "the caller has not delivered a row of an input");

/// How an input's values reach the program; `Whole` for anything else.
pub fn of(buffer: &Buffer) -> Delivery {
    match buffer.role {
        Role::Input(delivery) => delivery,
        _ => Delivery::Whole,
    }
}

/// The inputs that come in this way, with their numbers.
fn inputs(program: &Program, delivery: Delivery) -> Vec<(usize, TensorId)> {
    let all = program.inputs().into_iter().enumerate();
    all.filter(|(_, id)| of(program.buffer(*id)) == delivery).collect()
}

/// Whether a row can be missing.
pub fn can_fail(program: &Program) -> bool {
    !inputs(program, Delivery::Rows).is_empty()
}

/// The types of the functions that deliver rows.
pub fn types(program: &Program) -> String {
    let mut text = String::new();
    for (k, (id, feed)) in program.inputs().into_iter().zip(program.feeds()).enumerate() {
        let Feed::Rows { pieces, rows, bytes } = feed else { continue };
        let dtype = program.buffer(id).dtype;
        let elements = pieces * bytes / dtype.bytes();
        text += &format!(
            "/* Puts row `row` of input {k} at `into`: {elements} elements, in the order of the input's other dimensions. A run asks for each\n \
             * of the {rows} rows once, in order. Anything but 0 ends the run. */\n\
             #define @UPPER@_INPUT{k}_ROWS {rows}U\n\
             #define @UPPER@_INPUT{k}_ROW_SIZE {elements}U\n\
             typedef int (*@NAME@_input{k}_row_t)(void *user, int32_t row, void *into);\n\n"
        );
    }
    text
}

/// The fields of the context.
pub fn fields(program: &Program) -> String {
    let rows = inputs(program, Delivery::Rows).into_iter();
    let rows = rows.map(|(k, _)| format!("    @NAME@_input{k}_row_t input{k};\n    void *input{k}_user;\n"));
    let external = inputs(program, Delivery::External).into_iter();
    let external =
        external.map(|(k, id)| format!("    const {} *input{k};\n", c_type(program.buffer(id).dtype)));
    rows.chain(external).collect()
}

fn parameters(program: &Program, k: usize, id: TensorId) -> Option<String> {
    match of(program.buffer(id)) {
        Delivery::Whole => None,
        Delivery::Rows => Some(format!("@NAME@_input{k}_row_t deliver, void *user")),
        Delivery::External => Some(format!("const {} *input", c_type(program.buffer(id).dtype))),
    }
}

/// The declaration of `NAME_set_inputK`, for an input that stays with the caller.
pub fn declaration(program: &Program, k: usize, id: TensorId) -> Option<String> {
    let parameters = parameters(program, k, id)?;
    let what = match of(program.buffer(id)) {
        Delivery::Rows => format!("/* Who delivers input {k} from now on; `user` is passed on. */\n"),
        _ => {
            format!("/* Where input {k} is from now on: it is read there during a run, and not written. */\n")
        }
    };
    Some(format!("{what}@NAME@_status_t @NAME@_set_input{k}(@NAME@_ctx_t *ctx, {parameters});\n"))
}

/// The definition of `NAME_set_inputK`.
pub fn definition(program: &Program, k: usize, id: TensorId) -> Option<String> {
    let parameters = parameters(program, k, id)?;
    let lines = match of(program.buffer(id)) {
        Delivery::Rows => format!("    ctx->input{k} = deliver;\n    ctx->input{k}_user = user;\n"),
        _ => format!("    ctx->input{k} = input;\n"),
    };
    Some(format!(
        "@NAME@_status_t @NAME@_set_input{k}(@NAME@_ctx_t *ctx, {parameters})\n{{\n    \
         if (ctx == NULL || ctx->arena == NULL) {{\n        return @UPPER@_ERROR_ARGUMENT;\n    }}\n\
         {lines}    return @UPPER@_OK;\n}}\n\n"
    ))
}

/// What `NAME_init` leaves to the caller to set.
pub fn clear(program: &Program) -> String {
    let rows = inputs(program, Delivery::Rows).into_iter();
    let rows = rows.map(|(k, _)| format!("    ctx->input{k} = NULL;\n    ctx->input{k}_user = NULL;\n"));
    let external = inputs(program, Delivery::External).into_iter();
    rows.chain(external.map(|(k, _)| format!("    ctx->input{k} = NULL;\n"))).collect()
}

/// What `NAME_run` checks first.
pub fn check(program: &Program) -> String {
    let kept = inputs(program, Delivery::Rows).into_iter().chain(inputs(program, Delivery::External));
    let missing: Vec<String> = kept.map(|(k, _)| format!("ctx->input{k} == NULL")).collect();
    match missing.is_empty() {
        true => String::new(),
        false => {
            format!("    if ({}) {{\n        return @UPPER@_ERROR_ARGUMENT;\n    }}\n", missing.join(" || "))
        }
    }
}

/// The functions of the self-test that deliver rows of a golden vector.
pub fn test_functions(program: &Program) -> String {
    let mut text = String::new();
    for (k, (id, feed)) in program.inputs().into_iter().zip(program.feeds()).enumerate() {
        let Feed::Rows { pieces, bytes, .. } = feed else { continue };
        let dtype = program.buffer(id).dtype;
        text += &include_str!("../templates/deliver.c")
            .replace("@K@", &k.to_string())
            .replace("@T@", c_type(dtype))
            .replace("@PIECES@", &pieces.to_string())
            .replace("@ELEMENTS@", &(bytes / dtype.bytes()).to_string());
    }
    text
}

/// How the self-test gives a vector's values for an input that stays with the caller.
pub fn test_gives(program: &Program, k: usize, id: TensorId) -> Option<String> {
    let vector = format!("@NAME@_vectors_input{k}[vector]");
    let given = match of(program.buffer(id)) {
        Delivery::Whole => return None,
        Delivery::Rows => format!("deliver_input{k}, &vector"),
        Delivery::External => vector,
    };
    Some(format!(
        "    report_check(report, \"input {k}\", @NAME@_set_input{k}(ctx, {given}) == @UPPER@_OK);\n"
    ))
}

impl Steps<'_> {
    /// Asks the caller for a row.
    pub fn receive(&mut self, receive: &Receive, counters: &[String], indent: &str) -> Result<(), Error> {
        let k = self.program.inputs().iter().position(|id| *id == receive.input).unwrap_or(0);
        let buffer = self.program.buffer(receive.buffer);
        let row = buffer.len() / buffer.shape[0].max(1);
        let position = self.counted(&receive.position, counters)?;
        let place = self.counted(&(receive.slot.clone() * row as i64), counters)?;
        let into = self.buffer(receive.buffer);
        let into = if place == "0" { into } else { format!("&{into}[{place}]") };
        self.text += &format!(
            "{indent}if (ctx->input{k}(ctx->input{k}_user, {position}, {into}) != 0) {{\n\
             {indent}    return @UPPER@_ERROR_INPUT;\n{indent}}}\n"
        );
        Ok(())
    }
}

/// Where an input that is read at the caller's is, as a field of the context.
pub fn external(program: &Program, identifiers: &Identifiers) -> String {
    let all = inputs(program, Delivery::External).into_iter();
    all.map(|(k, id)| {
        let t = c_type(program.buffer(id).dtype);
        format!("    const {t} *const {} = ctx->input{k};\n", identifiers.buffers[id.0 as usize])
    })
    .collect()
}
