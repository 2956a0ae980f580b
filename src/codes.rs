//! The stable codes of errors, and what `nablac explain` says about each.
//!
//! Owns the table. The hundreds of a code are the exit code of the process: E0301 exits 3. A code is never reused.

/// What kind of failure it is, and so the exit code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// nablac's own fault.
    Bug = 1,
    /// The command line, or a file it names, is wrong.
    Usage = 2,
    /// The model is well-formed and asks for what is not supported.
    Unsupported = 3,
    /// The result does not fit the stated memory.
    Budget = 4,
    /// Numbers differ.
    Mismatch = 5,
    /// A tool that is needed is not installed, or cannot do what is asked.
    Toolchain = 6,
    /// The model breaks the rules of its format.
    Malformed = 7,
    /// A limit was hit.
    Limit = 8,
}

impl Class {
    /// Every class with what its exit code means.
    pub const ALL: &[(Class, &str)] = &[
        (Class::Bug, "a bug in nablac"),
        (Class::Usage, "the command line, or a file that it names, is wrong"),
        (Class::Unsupported, "the model asks for what is not supported"),
        (Class::Budget, "the result does not fit the stated memory"),
        (Class::Mismatch, "verification found a difference"),
        (Class::Toolchain, "a compiler, an emulator or a board is missing"),
        (Class::Malformed, "the model file is malformed"),
        (Class::Limit, "a limit was hit"),
    ];
}

macro_rules! codes { ($($Name:ident $code:literal $title:literal $explanation:literal)*) => {
    /// The kind of an error; each has a stable code.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Code { $(#[doc = $title] $Name),* }

    impl Code {
        /// Every code, in order.
        pub const ALL: &[Code] = &[$(Code::$Name),*];
        /// The stable code, such as `E0301`.
        pub fn name(self) -> &'static str { match self { $(Code::$Name => $code),* } }
        /// What happened, in a line.
        pub fn title(self) -> &'static str { match self { $(Code::$Name => $title),* } }
        /// What it means and what to do about it.
        pub fn explanation(self) -> &'static str { match self { $(Code::$Name => $explanation),* } }
    }
} }

codes! {
    Panic "E0101" "nablac panicked"
"A rule that nablac takes for granted did not hold. No model and no option should be able to cause this.
Please report it with the model, the command line and the message.
Nothing that was already at the output folder was changed."

    BrokenStage "E0102" "a stage of the compiler made something that breaks its own rules"
"Every stage is verified after it runs, so that a mistake is found where it was made. The message names the stage and
the rule. `nablac show MODEL --after STAGE` prints what the stage before it made. Please report it with the model."

    GeneratedCode "E0103" "the generated C does not build or does not run"
"The C compiler refused the code, the program faulted, or its model reported an error; or the program has instructions or
makes accesses that the target's processor does not allow; or the model wrote outside of its arena. The generated code is meant to build without a warning with
every C99 compiler. Please report it with the compiler's output.
If you named a compiler of your own, try the target's own first: `nablac targets` names it."

    Read "E0201" "a file cannot be read"
"The file is missing, is a folder, or may not be read. The message says what the operating system said."

    Write "E0202" "a file or folder cannot be written"
"The place that `--out` or `--outputs` names cannot be written. nablac writes beside it first and then renames, so what
was there before is unchanged, and nothing half-written is left."

    Samples "E0203" "the arrays do not fit the model"
"An .npz file holds one array per input (or output), under its name in the model. Shape and element type must be the
model's; along the first axis there may be more: an input of shape [1, 8, 8] takes an array of shape [1, 8, 8], or
[10, 8, 8] for ten samples, which run one by one. In Python:
    numpy.savez('in.npz', images=images.astype(numpy.float32))
`nablac check MODEL` prints the names, types and shapes."

    Target "E0204" "there is no such target, or its file is wrong"
"`nablac targets` lists the targets. A target of your own is a TOML file: give its path instead of a name. The files of
the built-in ones, under targets/machine/data, show what stands in it."

    Option "E0205" "an option does not fit the model or the other options"
"Two options exclude each other, an option names something that the model does not have, or a value is out of range. The
message says which one and why; `nablac COMMAND --help` says what it takes."

    ForeignFolder "E0206" "the output folder holds something that nablac did not write"
"`compile` replaces its output folder as a whole. To protect your files it replaces only an empty folder or one that it
wrote itself, which it knows by the folder's metadata.json. Name another folder, or say `--force`."

    CommandLine "E0207" "the command line is not understood"
"A command or an option is misspelt, is missing, or has a value that it does not take. The message says which;
`nablac COMMAND --help` says what there is."

    Schedule "E0208" "a schedule cannot be read, or its kernel cannot have it"
"`--schedule FILE` says how kernels run. The message names the line and what is wrong with it: a word that the language does
not have, a kernel or a loop that the model does not have, or an instruction that the target does not have.
`nablac show MODEL --after schedule --target TARGET` prints the schedules of all kernels as such a file: begin with that, and
change a line."

    Operator "E0301" "an operator, or a use of it, is not supported"
"The message names each such node and why, all of them at once. `nablac ops` lists the operators with every framework's
name for them. Often an exporter's option or a model simplifier replaces the operator by others."

    Construct "E0302" "something in the model file is not supported"
"The file is well-formed, but holds an element type, a sparse tensor, a feature of its format or a version that is not
supported. The message lists all of them."

    OpenDimension "E0303" "a dimension of the model is left open"
"Code for a small machine has fixed sizes. The model leaves an extent open, such as the batch size: fix it, for
instance with `--dim batch=1`. The message names each open dimension."

    Quantization "E0304" "the model cannot be quantized"
"`nablac quantize` reads a float ONNX model and writes an ONNX model. The message says what stands in the way: the model is
quantized already, is of another format, has subgraphs, or computes what is no number. Convert a TFLite file to ONNX first,
for instance with tf2onnx."

    Ram "E0401" "the model needs more RAM than it may have"
"`--ram SIZE` states how much RAM the arena and the context may take. The message says how much they need. The arena is
exact: it holds the inputs, the outputs and the intermediate tensors that live at the same time."

    Flash "E0402" "the model needs more flash than it may have"
"`--flash SIZE` states how much flash the weights may take. The message says how much they need. Code comes on top:
`nablac bench` measures all of it."

    Mismatch "E0501" "the outputs differ from the reference by more than the tolerance"
"Integers must be equal (`--lsb N` allows a difference of N); floats may differ by 1e-5 x max(1, range of the reference),
where the range is the largest less the smallest value of that output (`--tolerance X` allows X times as much). The report
names the first elements that differ. A model converted from another framework may be right and the reference not:
compare with the framework that made the reference."

    Drop "E0502" "the quantized network loses more than it may"
"`--max-drop D` states how many points of accuracy (or, without labels, of agreement with the float network) the quantized
network may lose; it loses more on the samples given. Nothing was written. `--scheme auto` computes the layers that lose
most more exactly, `--method` chooses other ranges, and more samples give better ranges."

    MissingTool "E0601" "a program that is needed is not installed"
"nablac itself needs none. Running generated code needs a C compiler, and for an emulated target its cross compiler and
QEMU, or Bochs. `nablac doctor` lists what is there, what is missing and how to install it."

    Incapable "E0602" "the target cannot do what is asked"
"The target exists, but this cannot be done there, or not on this computer. The message says what."

    Format "E0701" "the file is not a model, or is damaged"
"The bytes break the rules of the format. The message says where. A truncated download is the usual reason; compare the
file's size. The format is found by the content: a TFLite file says TFL3 at byte 4, and anything else is read as ONNX."

    Node "E0702" "a node contradicts its operator's specification"
"The node's inputs or attributes do not go together, so that the model has no meaning: for instance a matrix product of
shapes that do not match. The framework's own checker (`onnx.checker.check_model(model, full_check=True)`) may say more."

    Graph "E0703" "the model's graph is broken"
"A value is read but never written, an output does not exist, or a name stands for two things."

    Limit "E0801" "the model exceeds a limit"
"Limits on the size of a file, on nodes, on tensors and on nesting protect whoever opens a stranger's model. The message
names the limit and the flag that raises it; `nablac check --help` lists them."

    Timeout "E0802" "a program did not end in time"
"A compiler or the generated code ran for longer than `--timeout` allows, and was ended."
}

impl Code {
    /// The kind of failure: the hundreds of the code.
    pub fn class(self) -> Class {
        let hundreds = self.name().as_bytes()[2] - b'0';
        Class::ALL
            .iter()
            .map(|(class, _)| *class)
            .find(|class| *class as u8 == hundreds)
            .unwrap_or(Class::Bug)
    }

    /// The code called `name`, in any case, with or without its `E`.
    pub fn from_name(name: &str) -> Option<Code> {
        let digits = name.trim_start_matches(['e', 'E']);
        Code::ALL.iter().copied().find(|code| &code.name()[1..] == digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_sorted_and_say_their_class() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].name() < pair[1].name(), "{:?}", pair);
        }
        for &code in Code::ALL {
            assert!(code.name().starts_with("E0") && code.name().len() == 5, "{code:?}");
            assert_eq!(code.class() as u8, code.name().as_bytes()[2] - b'0', "{code:?}");
            assert_eq!(Code::from_name(&code.name().to_lowercase()), Some(code));
            assert!(code.explanation().len() > 20, "{code:?}");
        }
        assert_eq!(Code::from_name("E9999"), None);
    }
}
