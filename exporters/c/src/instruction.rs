//! Hardware instructions as small C functions.
//!
//! Owns the text of the types and functions of a library: the instructions behind the library's condition, and what they mean in
//! plain C for every other compiler.

use std::collections::BTreeSet;

use nablac_index::{Expr, TensorId};
use nablac_loops::{
    Argument, Bounds, Buffer, Function, Instruction, Kernel, Library, Parameter, Program, Role, Statement,
    Vector,
};

use crate::error::Error;
use crate::helper::Helpers;
use crate::kernel::Body;
use crate::literal::c_type;
use crate::name::Names;
use crate::writer::{Used, Writer};

/// The C type of a register with several elements.
pub fn vector_type(vector: &Vector) -> String {
    format!("{}x{}", vector.dtype, vector.lanes)
}

/// Defines a function of the library for these operands; gives its C name and the operands that it is passed. What is constant
/// becomes part of the name.
pub fn function(
    library: &Library,
    function: &Function,
    operands: Vec<Expr>,
    helpers: &mut Helpers,
) -> Result<(String, Vec<Expr>), Error> {
    let mut name = function.name.clone();
    let mut code = function.code.clone();
    for (parameter, operand) in
        function.parameters.iter().zip(&operands).filter(|(p, _)| p.constant.is_some())
    {
        if let Expr::Literal(_, value) = operand {
            let digits = value.as_i64().to_string();
            name += &format!("_{}", digits.replace('-', "minus_"));
            code = code.replace(&format!("{{{}}}", parameter.name), &digits);
        }
    }
    if !helpers.has(&name) {
        let value = function.value.rewrite(&mut |node| match node {
            Expr::Read(access) if function.parameters[access.tensor.0 as usize].constant.is_some() => {
                operands[access.tensor.0 as usize].clone()
            }
            other => other,
        });
        let parameters = function.parameters.iter().filter(|p| p.constant.is_none());
        let parameters: Vec<String> = parameters.map(|p| format!("{} {}", c_type(p.dtype), p.name)).collect();
        let result = c_type(function.scope().type_of(&value));
        let meaning = meaning_of(function, &value, helpers)?;
        let (condition, parameters) = (&library.condition, parameters.join(", "));
        helpers.insert(
            &name,
            format!(
                "static inline {result} {name}({parameters})\n{{\n#if {condition}\n    {result} result;\n    {code}\n    \
                 return result;\n#else\n    return {meaning};\n#endif\n}}\n"
            ),
        );
    }
    let passed = function.parameters.iter().zip(operands).filter(|(p, _)| p.constant.is_none());
    Ok((name, passed.map(|(_, operand)| operand).collect()))
}

/// What a function computes, as C.
fn meaning_of(function: &Function, value: &Expr, helpers: &mut Helpers) -> Result<String, Error> {
    let buffer = |p: &Argument| Buffer {
        name: p.name.clone(),
        dtype: p.dtype,
        shape: vec![],
        role: Role::Local,
        offset: Some(0),
    };
    let program = Program { buffers: function.parameters.iter().map(buffer).collect(), ..Program::default() };
    let names: Vec<String> = function.parameters.iter().map(|p| p.name.clone()).collect();
    let mut writer = Writer {
        program: &program,
        kernel: &function.name,
        scope: &function.scope(),
        buffers: &names,
        by_value: true,
        elements: &[],
        variables: vec![],
        bounds: Bounds::new(0, &[]),
        anchors: vec![],
        repeated: vec![],
        helpers,
        used: Used::default(),
    };
    Ok(writer.typed(value)?.text)
}

/// The library's instructions that the program uses, and the types of their registers.
pub fn definitions(program: &Program, helpers: &mut Helpers) -> Result<String, Error> {
    let Some(library) = &program.library else { return Ok(String::new()) };
    let mut names = BTreeSet::new();
    for kernel in program.kernels() {
        kernel.visit(&mut |statement| {
            if let Statement::Use { instruction, .. } = statement {
                names.insert(instruction.clone());
            }
        });
    }
    let used: Vec<&Instruction> = library.instructions.iter().filter(|i| names.contains(&i.name)).collect();
    if used.is_empty() {
        return Ok(String::new());
    }
    let of = |p: &&Parameter| !p.memory && !p.shape.is_empty();
    let held = |v: &&Vector| {
        let mut all = used.iter().flat_map(|i| i.parameters.iter().filter(of));
        all.any(|p| (p.dtype, lanes(p)) == (v.dtype, v.lanes))
    };
    let vectors: Vec<&Vector> = library.vectors.iter().filter(held).collect();
    let mut text = include_str!("../templates/pragma.c").to_string();
    text += &format!("#if {}\n", library.condition);
    if !library.header.is_empty() {
        text += &format!("#include <{}>\n", library.header);
    }
    for vector in &vectors {
        text += &format!("typedef {} {};\n", vector.c_type, vector_type(vector));
    }
    for instruction in &used {
        let code: String =
            instruction.code.lines().map(|line| format!("    {}\n", line.trim_end())).collect();
        text += &definition(instruction, &code);
    }
    text += "#else\n";
    for vector in &vectors {
        let element = c_type(vector.dtype);
        text += &format!(
            "typedef struct {{\n    {element} lane[{}];\n}} {};\n",
            vector.lanes,
            vector_type(vector)
        );
    }
    for instruction in &used {
        text += &definition(instruction, &meaning(library, instruction, helpers)?);
    }
    Ok(text + "#endif\n\n")
}

fn lanes(parameter: &Parameter) -> usize {
    parameter.shape.iter().product()
}

/// What an instruction gives back: the register that it writes. What it writes in memory it gives back to nobody.
pub fn result(instruction: &Instruction) -> Option<TensorId> {
    let register = |id: &TensorId| !instruction.parameters[id.0 as usize].memory;
    instruction.written().into_iter().find(register)
}

/// The parameters that are passed: all but a register that is written without being read.
pub fn passed(instruction: &Instruction) -> Vec<usize> {
    let result = result(instruction);
    let given = |p: &usize| {
        let id = TensorId(*p as u32);
        Some(id) != result || instruction.reads(id)
    };
    (0..instruction.parameters.len()).filter(given).collect()
}

/// The C type of a parameter that is a register.
pub fn type_of(parameter: &Parameter) -> String {
    match parameter.shape[..] {
        [] => c_type(parameter.dtype).into(),
        _ => format!("{}x{}", parameter.dtype, lanes(parameter)),
    }
}

fn definition(instruction: &Instruction, body: &str) -> String {
    let written = instruction.written();
    let declaration = |p: usize| {
        let parameter = &instruction.parameters[p];
        let (name, element) = (&parameter.name, c_type(parameter.dtype));
        match parameter.memory {
            true if written.contains(&TensorId(p as u32)) => format!("{element} *{name}"),
            true => format!("const {element} *{name}"),
            false => format!("{} {name}", type_of(parameter)),
        }
    };
    let parameters: Vec<String> = passed(instruction).into_iter().map(declaration).collect();
    let (given, first, last) = match result(instruction) {
        None => ("void".into(), String::new(), String::new()),
        Some(id) => {
            let parameter = &instruction.parameters[id.0 as usize];
            let (t, name) = (type_of(parameter), &parameter.name);
            let fresh = !instruction.reads(id);
            let first = if fresh { format!("    {t} {name};\n") } else { String::new() };
            (t, first, format!("    return {name};\n"))
        }
    };
    let (name, parameters) = (&instruction.name, parameters.join(", "));
    format!("static inline {given} {name}({parameters})\n{{\n{first}{body}{last}}}\n")
}

/// The meaning as the lines of a C function: a register's elements are members of its structure.
fn meaning(library: &Library, instruction: &Instruction, helpers: &mut Helpers) -> Result<String, Error> {
    let buffer = |p: &Parameter| Buffer {
        name: p.name.clone(),
        dtype: p.dtype,
        shape: p.shape.clone(),
        role: Role::Local,
        offset: Some(0),
    };
    let buffers: Vec<Buffer> = instruction.parameters.iter().map(buffer).collect();
    let program = Program { buffers, library: Some(library.clone()), ..Program::default() };
    let kernel: Kernel = instruction.kernel();
    let element = |p: &Parameter| match (p.memory, p.shape.is_empty()) {
        (true, true) => format!("{}[0]", p.name),
        (false, false) => format!("{}.lane", p.name),
        _ => p.name.clone(),
    };
    let names: Vec<String> = instruction.parameters.iter().map(element).collect();
    let writer = Writer {
        program: &program,
        kernel: &kernel.name,
        scope: &program.scope(&kernel),
        buffers: &names,
        by_value: true,
        elements: &[],
        variables: vec![String::new(); kernel.variables.len()],
        bounds: Bounds::new(kernel.variables.len(), &[]),
        anchors: vec![],
        repeated: vec![],
        helpers,
        used: Used::default(),
    };
    let mut taken = Names::default();
    instruction.parameters.iter().for_each(|p| _ = taken.claim(&p.name));
    let mut body = Body::new(&program, &kernel, writer, taken);
    body.lines(&kernel.body)?;
    Ok(body.text())
}
