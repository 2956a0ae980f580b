//! The machine files that come with the compiler, and what loading says about names and files that are wrong.

use nablac_index::lexer::Lexer;
use nablac_loops::parse_library;
use nablac_machine::{Error, FloatUnit, Machine, Role};

#[test]
fn every_built_in_machine_loads_under_its_own_name() {
    let machines = Machine::all().unwrap();
    assert_eq!(
        machines.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(),
        Machine::names().collect::<Vec<_>>()
    );
    for machine in machines {
        assert_eq!(Machine::load(&machine.name).unwrap(), machine);
        assert!(!machine.sources.is_empty(), "{} cites no source", machine.name);
        let table = machine.timings().unwrap();
        assert_eq!(table.is_some(), machine.timing_table.is_some());
    }
}

#[test]
fn libraries_of_instructions_read_as_they_print() {
    for library in Machine::all().unwrap().iter().filter_map(|machine| machine.library().unwrap()) {
        let text = library.to_string();
        assert_eq!(parse_library(&mut Lexer::new(&text).unwrap()).unwrap(), library, "{text}");
    }
}

#[test]
fn the_cortex_m4_is_what_its_manual_says() {
    let machine = Machine::load("cortex-m4").unwrap();
    assert_eq!(
        (machine.float_unit, machine.simd_bits, machine.registers.general),
        (FloatUnit::Single, 32, 14)
    );
    assert_eq!(machine.memory_for(Role::Constants).unwrap().name, "flash");
    assert_eq!(machine.memory_for(Role::Data).unwrap().size, 4 << 20);
    assert_eq!(machine.timings().unwrap().unwrap().refill, [1, 2, 3]);
}

#[test]
fn the_cortex_m0plus_lacks_what_its_manual_says() {
    let machine = Machine::load("cortex-m0plus").unwrap();
    assert_eq!((machine.float_unit, machine.simd_bits, machine.registers.float), (FloatUnit::None, 0, 0));
    assert!(!machine.unaligned_access && machine.instruction_set.is_some());
    for other in Machine::all().unwrap().iter().filter(|other| other.name != machine.name) {
        assert!(other.unaligned_access && other.instruction_set.is_none(), "{}", other.name);
    }
}

#[test]
fn a_mistyped_name_is_answered_with_near_ones() {
    let Err(Error::Unknown { near, .. }) = Machine::load("cortexm4") else { panic!("loaded") };
    assert_eq!(near[0], "cortex-m4");
    let message = Machine::load("zzz").unwrap_err().to_string();
    assert!(Machine::names().all(|name| message.contains(name)), "{message}");
}

#[test]
fn a_user_may_describe_a_machine_in_a_file() {
    let text = std::fs::read_to_string("data/cortex-m4.toml").unwrap();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mine.toml");
    let mine = text.replacen("\"cortex-m4\"", "\"mine\"", 1).replace("4 MiB", "1 MiB");
    std::fs::write(&path, mine).unwrap();
    let machine = Machine::load(path.to_str().unwrap()).unwrap();
    assert_eq!((machine.name.as_str(), machine.memories[0].size), ("mine", 1 << 20));
}

#[test]
fn a_wrong_file_is_a_named_error() {
    let [good, small] =
        ["data/cortex-m4.toml", "data/cortex-m0plus.toml"].map(|path| std::fs::read_to_string(path).unwrap());
    let without_disassembler = |text: &str| {
        let (before, rest) = text.split_once("[disassembler]").unwrap();
        format!("{before}{}", &rest[rest.find("[emulator]").unwrap()..])
    };
    let rows = [
        (good.replace("word_bits ", "word_bitz "), "unknown field `word_bitz`"),
        (good.replace("\"4 MiB\"", "\"4 MB\""), "`4 MB` is no size"),
        (good.replace("\"stack\"", "\"data\""), "no memory holds stack"),
        (good.replace("machine = \"mps2-an386\"", ""), "either a `machine`, the board, or a `processor`"),
        (good.replace("machine = \"mps2", "processor = \"x\"\nmachine = \"mps2"), "either a `machine`"),
        (good.replace("machine = \"mps2", "computer = \"x\"\nmachine = \"mps2"), "either a `machine`"),
        (
            good.replace("timing_table =", "requires = [\"avx2\"]\ntiming_table ="),
            "`requires` speaks of this",
        ),
        (good.replace("timing_table =", "threads = true\ntiming_table ="), "the emulators run one thread"),
        (good.replace("0x2000_0000", "0x0010_0000"), "memories `flash` and `ram` overlap"),
        (good.replace("= 32\nfloat", "= 12\nfloat"), "`word_bits` is 12"),
        (without_disassembler(&good), "there is a `timing_table`, but no `disassembler`"),
        (without_disassembler(&small), "there is an `instruction_set`, but no `disassembler`"),
        ("= =".to_owned(), "malformed"),
    ];
    for (text, expected) in rows {
        let message = Machine::parse(&text, "mine.toml").unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("mine.toml"), "{message}");
    }
    assert!(matches!(Machine::load("nowhere.toml"), Err(Error::Read { .. })));
}
