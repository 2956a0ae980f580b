//! A plugin of QEMU that counts the instructions of one function, from its first to its return, per address and exactly.
//! It is one dependency-free file, because the build script of `nablac-run` hands it to the compiler alone and embeds the
//! result. It knows addresses and counts; symbols, cycles and the program being run are somebody else's.
//!
//! QEMU translates code in blocks without inner jumps, so that counting how often each block runs counts its
//! instructions. The counters are callbacks on blocks rather than QEMU's inline additions: only a callback can be gated,
//! and its interface is the same in every version of the plugin API. A callback also sees which block ran before, which
//! tells every jump that was taken, exactly.
//!
//! Arguments: `entry=ADDRESS` (the function's first instruction), `exit=ADDRESS` (where it returns to), `out=FILE`.
//! The file gets, per call of the function, a line `call INSTRUCTIONS`, and after the first call one line per address:
//! `at ADDRESS COUNT JUMPED_TO JUMPED_FROM`.
#![allow(unsafe_code)] // QEMU's interface is C: callbacks get pointers that only we know the type of

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The plugin API that this build speaks. QEMU refuses a version outside its range, and the ranges of old (0 to 1) and new
/// (2 and up) releases do not meet; the functions used here are the same in both.
const API_VERSION: c_int = match option_env!("NABLAC_QEMU_PLUGIN_API") {
    Some(digit) => (digit.as_bytes()[0] - b'0') as c_int,
    None => 1,
};

type PluginId = u64;
type BlockCallback = extern "C" fn(PluginId, *mut c_void);
type ExecutedCallback = extern "C" fn(c_uint, *mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: PluginId, callback: BlockCallback);
    fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut c_void,
        callback: ExecutedCallback,
        registers: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_tb_n_insns(block: *const c_void) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const c_void, index: usize) -> *mut c_void;
    fn qemu_plugin_insn_vaddr(instruction: *const c_void) -> u64;
    fn qemu_plugin_insn_size(instruction: *const c_void) -> usize;
}

/// QEMU reads this before anything else.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)] // the name is QEMU's
pub static qemu_plugin_version: c_int = API_VERSION;

/// The callback neither reads nor writes the processor's registers.
const NO_REGISTERS: c_int = 0;

/// A translated block and how often it ran in the first call.
struct Block {
    addresses: Vec<u64>,
    end: u64,
    runs: AtomicU64,
    /// How often the instruction before it in time was not the one before it in memory.
    jumped_to: AtomicU64,
    /// The same for what came after it.
    jumped_from: AtomicU64,
}

/// What the arguments say.
struct Setting {
    entry: u64,
    exit: u64,
    out: String,
}

static SETTING: OnceLock<Setting> = OnceLock::new();
static BLOCKS: Mutex<Vec<&'static Block>> = Mutex::new(Vec::new());
static PREVIOUS: AtomicPtr<Block> = AtomicPtr::new(ptr::null_mut());
static IN_CALL: AtomicBool = AtomicBool::new(false);
static FIRST_CALL: AtomicBool = AtomicBool::new(true);
static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);

// The emulated boards have one processor, and the emulated processes one thread, which runs every callback. The atomics are for
// the language; a load and a store do instead of a read-modify-write.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed) + amount, Relaxed);
}

extern "C" fn translated(_id: PluginId, block: *mut c_void) {
    // SAFETY: QEMU hands a live block, whose instructions live as long as this callback runs.
    let (addresses, last_size) = unsafe {
        let instructions: Vec<_> =
            (0..qemu_plugin_tb_n_insns(block)).map(|index| qemu_plugin_tb_get_insn(block, index)).collect();
        let addresses: Vec<u64> = instructions.iter().map(|i| qemu_plugin_insn_vaddr(*i)).collect();
        (addresses, instructions.last().map_or(0, |i| qemu_plugin_insn_size(*i)))
    };
    let Some(last) = addresses.last() else { return };
    let counted: &'static Block = Box::leak(Box::new(Block {
        end: last + last_size as u64,
        addresses,
        runs: AtomicU64::new(0),
        jumped_to: AtomicU64::new(0),
        jumped_from: AtomicU64::new(0),
    }));
    BLOCKS.lock().unwrap_or_else(PoisonError::into_inner).push(counted);
    // SAFETY: the block is live, and `counted` is never freed, so that the callback may always read it.
    unsafe {
        qemu_plugin_register_vcpu_tb_exec_cb(
            block,
            executed,
            NO_REGISTERS,
            ptr::from_ref(counted) as *mut c_void,
        );
    }
}

extern "C" fn executed(_processor: c_uint, data: *mut c_void) {
    // SAFETY: `data` is the leaked block that `translated` registered.
    let block: &'static Block = unsafe { &*data.cast::<Block>() };
    let Some(setting) = SETTING.get() else { return };
    let start = block.addresses[0];
    if start == setting.exit && IN_CALL.load(Relaxed) {
        returned(setting);
    } else if start == setting.entry {
        IN_CALL.store(true, Relaxed);
    }
    if !IN_CALL.load(Relaxed) {
        return;
    }
    add(&INSTRUCTIONS, block.addresses.len() as u64);
    if FIRST_CALL.load(Relaxed) {
        add(&block.runs, 1);
        let previous = PREVIOUS.swap(data.cast(), Relaxed);
        // SAFETY: null at the start of a call, and a leaked block afterwards.
        match unsafe { previous.as_ref() } {
            Some(previous) if previous.end == start => {}
            Some(previous) => {
                add(&previous.jumped_from, 1);
                add(&block.jumped_to, 1);
            }
            None => add(&block.jumped_to, 1),
        }
    }
}

/// Closes a call: writes its count, and after the first call the counts per address.
fn returned(setting: &Setting) {
    IN_CALL.store(false, Relaxed);
    let mut text = format!("call {}\n", INSTRUCTIONS.swap(0, Relaxed));
    if FIRST_CALL.swap(false, Relaxed) {
        // SAFETY: null or a leaked block, as above.
        if let Some(last) = unsafe { PREVIOUS.load(Relaxed).as_ref() } {
            add(&last.jumped_from, 1);
        }
        for (address, [count, jumped_to, jumped_from]) in counts_per_address() {
            let _ = writeln!(text, "at {address:#x} {count} {jumped_to} {jumped_from}"); // a String takes any text
        }
    }
    let written =
        OpenOptions::new().append(true).open(&setting.out).and_then(|mut f| f.write_all(text.as_bytes()));
    if let Err(error) = written {
        eprintln!("nablac counting plugin: cannot write `{}`: {error}", setting.out);
    }
}

fn counts_per_address() -> BTreeMap<u64, [u64; 3]> {
    let mut counts: BTreeMap<u64, [u64; 3]> = BTreeMap::new();
    for block in BLOCKS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let runs = block.runs.load(Relaxed);
        if runs == 0 {
            continue;
        }
        for address in &block.addresses {
            counts.entry(*address).or_default()[0] += runs;
        }
        let (first, last) = (block.addresses[0], block.addresses[block.addresses.len() - 1]);
        counts.entry(first).or_default()[1] += block.jumped_to.load(Relaxed);
        counts.entry(last).or_default()[2] += block.jumped_from.load(Relaxed);
    }
    counts
}

fn setting(arguments: &[&str]) -> Result<Setting, String> {
    let value = |key: &str| {
        let found = arguments.iter().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='));
        found.ok_or_else(|| format!("argument `{key}=` is missing"))
    };
    let address = |key: &str| {
        let text = value(key)?;
        u64::from_str_radix(text.trim_start_matches("0x"), 16).map_err(|_| format!("`{text}` is no address"))
    };
    let out = value("out")?.to_owned();
    File::create(&out).map_err(|error| format!("cannot create `{out}`: {error}"))?;
    Ok(Setting { entry: address("entry")?, exit: address("exit")?, out })
}

/// QEMU calls this once, after it loaded the plugin; 0 means that all is well.
///
/// # Safety
/// `argv` must point to `argc` strings that end in a zero byte, as QEMU's do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: PluginId,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: the caller's promise.
    let arguments: Vec<&str> =
        (0..count).filter_map(|index| unsafe { CStr::from_ptr(*argv.add(index)) }.to_str().ok()).collect();
    let installed = setting(&arguments)
        .and_then(|setting| SETTING.set(setting).map_err(|_| "it is loaded twice".to_owned()));
    match installed {
        Ok(()) => {
            // SAFETY: `id` is the one that QEMU gave us.
            unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
            0
        }
        Err(reason) => {
            eprintln!("nablac counting plugin: {reason}");
            1
        }
    }
}
